"""Containers that are stopped, denied or misled: `python -m tests.images.stopping REPOSITORY`.

A generator is trained by two containers that are stopped after their first checkpoint, as a kubelet stops
pods, and started again: it must be the generator of a run that was left alone, bit for bit. Wrong credentials
and a wrong configuration must end with 64, which Kubernetes does not retry.
"""

import os
from pathlib import Path
import subprocess
import sys
import threading
import time

from mura_jobs.bucket import open_bucket
from mura_jobs.errors import ConfigError, Stopped
from mura_jobs.job.artifact import Artifact
from tests.helm.chart import Manifest, jobs, render
from tests.images.containers import Engine, Ran
from tests.images.pipeline import values
from tests.servers import CREDENTIALS, seaweedfs

PATIENCE = 300.0
NODES = (0, 1)


def main(repository: str) -> int:
    """Try everything; 0 when all is as it should be."""
    os.environ.update(CREDENTIALS)
    faults = []
    with seaweedfs() as server:
        url = server.make_bucket("stopping")
        chosen = values(url, server.endpoint)
        chosen["train-gan"]["config"] |= {"kimg": 0.512}
        engine = Engine(repository, {**CREDENTIALS, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"})
        digests = []
        for name in ("alone", "stopped"):
            manifests = render(chosen, name=name)
            found = jobs(manifests)
            for key, pods in (("preflight", [0]), ("phantom", [0]), ("preprocess", [0]), ("preprocess", [1])):
                faults += _unless(engine.run(found[key], manifests, pods), 0)
            training = found["train-gan-positive"]
            if name == "stopped":
                faults += _unless(_stop_after_a_checkpoint(engine, training, manifests), Stopped.exit_code)
            faults += _unless(engine.run(training, manifests, NODES), 0)
            bucket = open_bucket(url, server.endpoint)
            digests.append(Artifact.open(bucket, f"runs/{name}/train-gan/positive").manifest.digest)
        _say(f"generators are {'the same' if digests[0] == digests[1] else 'DIFFERENT'}: {digests[0][:12]}")
        faults += ["a stop changed the generator"] if digests[0] != digests[1] else []

        denied = Engine(repository, {**engine.environment, "AWS_SECRET_ACCESS_KEY": "wrong"})
        manifests = render(chosen, name="denied")
        faults += _unless(denied.run(jobs(manifests)["preflight"], manifests, [0]), ConfigError.exit_code)
        manifests = render(chosen | {"arms": ["real+synthetic-x9"]}, name="refused")
        faults += _unless(engine.run(jobs(manifests)["preflight"], manifests, [0]), ConfigError.exit_code)
    _say("; ".join(faults) or "all as it should be")
    return 1 if faults else 0


def _stop_after_a_checkpoint(engine: Engine, job: Manifest, manifests: list[Manifest]) -> list[Ran]:
    ran: list[Ran] = []
    thread = threading.Thread(target=lambda: ran.extend(engine.run(job, manifests, NODES)))
    thread.start()
    name = job["metadata"]["name"]
    log = Path(engine.folder) / f"{name}-0.log"
    begin = time.monotonic()
    while not (log.exists() and '"event": "checkpoint"' in log.read_text(errors="replace")):
        if time.monotonic() - begin > PATIENCE or not thread.is_alive():
            break
        time.sleep(0.05)
    for index in NODES:
        subprocess.Popen(["podman", "stop", "--ignore", f"{name}-{index}"], stdout=subprocess.DEVNULL)
    thread.join()
    return ran


def _unless(ran: list[Ran], code: int) -> list[str]:
    """What ended otherwise than it should."""
    for one in ran:
        _say(f"{one.name:<36} exit {one.code:>3} after {one.seconds:5.1f} s, {code} expected")
        if one.code != code:
            _say(one.log[-2000:])
    return [f"{one.name} ended with {one.code}" for one in ran if one.code != code]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
