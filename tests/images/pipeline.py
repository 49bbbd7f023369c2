"""The whole pipeline, container by container, against a real S3 server: `make images-test`.

`python -m tests.images.pipeline REPOSITORY` renders the chart and runs every Job's pods from the images in
REPOSITORY as the chart says: non-root, read-only, without capabilities, within its limits. Each generator
is trained by two containers together. It prints what each took, and exits 1 when something is wrong.
"""

import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import yaml

from mura_jobs import __version__
from mura_jobs.bucket import open_bucket
from mura_jobs.cluster.status import look, utc_now
from mura_jobs.stages import RunConfig
from tests.helm.chart import Manifest, job_spec, jobs, render
from tests.images.containers import Engine
from tests.servers import CREDENTIALS, seaweedfs

TINY = Path(__file__).parents[1] / "pipeline" / "tiny.yaml"
# PEP 552: a 1 there says that the source's hash is named and not checked; a 0, that its time is
STALE = """
from pathlib import Path
files = [file for root in ("/app", "/opt/mura-jobs") for file in Path(root).rglob("*.pyc")]
stale = [file for file in files if file.read_bytes()[4] != 1]
print(f"{len(files)} files of byte code, {len(stale)} of them with times")
raise SystemExit(bool(stale) or not files)
"""
SMALL = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "3Gi"}}


def values(bucket: str, endpoint: str) -> dict[str, Any]:
    """The tests' tiny run as values of the chart, with shares and nodes where the chart can have several."""
    run = yaml.safe_load(TINY.read_text("utf-8"))
    stages = {
        name: {"config": run[name], "gpus": 0, "resources": SMALL, "shmSize": "256Mi", "scratchSize": "1Gi"}
        for name in ("phantom", "preprocess", "train-gan", "synthesize", "train-cnn", "report")
        if name in run
    }
    stages["phantom"]["enabled"] = True
    stages["preprocess"]["shards"] = stages["synthesize"]["shards"] = 2
    stages["train-gan"]["nodes"] = 2
    repeats = {name: run[name] for name in ("labels", "arms", "seeds") if name in run}
    common = {"jobDefaults": {"resources": SMALL, "scratchSize": "1Gi"}}
    return (
        {"bucket": {"url": bucket, "endpoint": endpoint}, "preflight": {"resources": SMALL}}
        | common
        | stages
        | repeats
    )


def indexes(job: Manifest) -> list[list[int]]:
    """Which pods to run one after the other: nodes of a training together, shares by themselves."""
    count = job_spec(job).get("completions", 1)
    together = "subdomain" in job_spec(job)["template"]["spec"]
    return [list(range(count))] if together else [[index] for index in range(count)]


def main(repository: str) -> int:
    """Run everything; 0 when all outputs are published."""
    os.environ.update(CREDENTIALS)
    with seaweedfs() as server:
        url = server.make_bucket("containers")
        manifests = render(values(url, server.endpoint), name="containers")
        engine = Engine(repository, {**CREDENTIALS, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"})
        for key, job in jobs(manifests).items():
            if key == "driver":
                continue
            for together in indexes(job):
                for ran in engine.run(job, manifests, together):
                    _say(f"{ran.name:<36} exit {ran.code} after {ran.seconds:5.1f} s")
                    if ran.code:
                        _say(ran.log[-3000:])
                        return 1
        return _judge(url, server.endpoint)


def compiled(repository: str) -> int:
    """0 when no start has to compile anything: no byte code in the image depends on the sources' times."""
    image = f"{repository}/preprocess:{__version__}"
    command = ["podman", "run", "--rm", "--entrypoint=python3", image, "-c", STALE]
    return subprocess.run(command, check=False).returncode


def _judge(url: str, endpoint: str) -> int:
    bucket = open_bucket(url, endpoint)
    run = RunConfig.parse(json.loads(bucket.read("runs/containers/run.json")))
    status = look(bucket, "containers", run, silent_seconds=300, now=utc_now())
    for instance in status.instances:
        if instance.state != "published":
            _say(f"{instance.place} is {instance.state}")
    return 0 if status.published == len(status.instances) else 1


def sizes(repository: str) -> None:
    """Print the images' sizes."""
    command = [
        "podman",
        "images",
        "--filter",
        f"reference={repository}/*",
        "--format",
        "{{.Repository}}:{{.Tag}} {{.Size}}",
    ]
    _say(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sizes(sys.argv[1])
    sys.exit(compiled(sys.argv[1]) or main(sys.argv[1]))
