"""The chart on a real cluster: `python -m tests.cluster.real VALUES…`, with helm, kubectl and KUBECONFIG.

VALUES are files that say what this cluster needs: where the images are, hostNetwork and so on. Everything is
installed into the present namespace:

1. a whole run with a bucket of its own, from the driver to the report;
2. the same run again, a pod of which is deleted while it trains: its generator must be the same bit for bit;
3. wrong credentials and a wrong configuration, which must fail at once.

It prints what each took, and exits 1 when something is not as it should be.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any

import yaml

from mura_jobs.bucket import open_bucket
from mura_jobs.job.artifact import Artifact

CHART = Path(__file__).parents[2] / "helm" / "mura-jobs"
TINY = Path(__file__).parents[1] / "pipeline" / "tiny.yaml"
RESOURCES = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "3Gi"}}
URL = "s3://mura-jobs"
FORWARDED = "http://127.0.0.1:8333"
PATIENCE = 1500.0


def tiny() -> dict[str, Any]:
    """The tests' tiny run, with a training that is long enough to be disturbed."""
    run = yaml.safe_load(TINY.read_text("utf-8"))
    stages = ("phantom", "preprocess", "train-gan", "synthesize", "train-cnn", "report")
    values: dict[str, Any] = {
        name: {"config": run.get(name, {}), "gpus": 0, "shmSize": "256Mi", "resources": RESOURCES}
        for name in stages
    }
    values["phantom"]["enabled"] = True
    values["preprocess"]["shards"] = 1
    values["train-gan"]["config"] |= {"kimg": 0.512}
    values |= {name: run[name] for name in ("labels", "arms", "seeds") if name in run}
    return values | {"jobDefaults": {"scratchSize": "1Gi"}, "preflight": {"resources": RESOURCES}}


def helm(action: str, name: str, files: list[str], values: dict[str, Any]) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as own:
        yaml.safe_dump(values, own)
        own.flush()
        flags = [flag for file in [*files, own.name] for flag in ("--values", file)]
        return _run("helm", action, name, str(CHART), *flags)


def jobs(run: str) -> dict[str, dict[str, Any]]:
    """The run's Jobs by key."""
    listed = json.loads(_run("kubectl", "get", "jobs", "-l", f"mura-jobs/run={run}", "-o", "json"))
    return {job["metadata"]["labels"]["mura-jobs/job"]: job for job in listed["items"]}


def ended(job: dict[str, Any]) -> str:
    """How a Job ended, or nothing."""
    conditions = job.get("status", {}).get("conditions") or []
    found = [c["type"] for c in conditions if c["status"] == "True" and c["type"] in ("Complete", "Failed")]
    return found[0] if found else ""


def wait_for_end(run: str, key: str) -> str:
    begin = time.monotonic()
    while time.monotonic() - begin < PATIENCE:
        how = ended(jobs(run)[key])
        if how:
            _say(f"{run} {key} is {how} after {time.monotonic() - begin:.0f} s")
            return how
        time.sleep(2)
    raise TimeoutError(f"{run} {key} did not end; see kubectl get pods")


def show_times(run: str) -> None:
    for key, job in sorted(jobs(run).items(), key=lambda item: item[1]["status"].get("startTime", "")):
        status = job["status"]
        if "completionTime" in status:
            begin, end = (datetime.fromisoformat(status[name]) for name in ("startTime", "completionTime"))
            _say(f"  {key:<30} {(end - begin).total_seconds():5.0f} s, {status.get('failed', 0)} failed pods")


def delete_a_training_pod(run: str) -> None:
    """Wait for the first checkpoint of the positive generator, and delete its pod."""
    selector = f"mura-jobs/run={run},mura-jobs/job=train-gan-positive"
    begin = time.monotonic()
    while time.monotonic() - begin < PATIENCE:
        if "checkpoint" in _run("kubectl", "logs", "-l", selector, "-c", "stage", "--tail=50", check=False):
            pods = _run("kubectl", "get", "pods", "-l", selector, "-o", "name").split()
            _run("kubectl", "delete", "--wait=false", *pods)
            _say(f"deleted {', '.join(pods)}")
            return
        time.sleep(0.5)
    raise TimeoutError("training never wrote a checkpoint")


@contextmanager
def bucket_of(run: str, secret: dict[str, str], *, forward: bool) -> Iterator[Any]:
    """The development bucket, by way of a forwarded port where it is not on this machine."""
    os.environ |= secret
    command = ["kubectl", "port-forward", f"service/{run}-bucket", "8333:8333"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL) if forward else None
    try:
        time.sleep(3 if forward else 0)
        yield open_bucket(URL, FORWARDED)
    finally:
        if process is not None:
            process.terminate()


def main(files: list[str]) -> int:
    merged: dict[str, Any] = {}
    for file in files:
        merged |= yaml.safe_load(Path(file).read_text("utf-8"))
    on_host = merged.get("developmentBucket", {}).get("hostNetwork", False)
    keys = {"AWS_ACCESS_KEY_ID": "development", "AWS_SECRET_ACCESS_KEY": "development-only"}
    faults = []

    _say(helm("install", "whole", files, tiny() | {"developmentBucket": {"enabled": True}}))
    if wait_for_end("whole", "driver") != "Complete":
        return 1
    show_times("whole")

    theirs = "http://127.0.0.1:8333" if on_host else "http://whole-bucket:8333"
    where = {"url": URL, "endpoint": theirs, "existingSecret": "whole-bucket"}
    bucket: dict[str, Any] = {"developmentBucket": {"enabled": False}, "bucket": where}
    helm("install", "disturbed", files, tiny() | bucket)
    delete_a_training_pod("disturbed")
    if wait_for_end("disturbed", "driver") != "Complete":
        return 1
    show_times("disturbed")
    with bucket_of("whole", keys, forward=not on_host) as opened:
        digests = [
            {
                place: Artifact.open(opened, f"runs/{run}/{place}").manifest.digest
                for place in ("preprocess", "train-gan/positive", "train-gan/negative", "synthesize/positive")
            }
            for run in ("whole", "disturbed")
        ]
    _say(f"outputs are {'the same' if digests[0] == digests[1] else f'DIFFERENT: {digests}'}")
    faults += ["a deleted pod changed the result"] if digests[0] != digests[1] else []

    _run(
        "kubectl",
        "create",
        "secret",
        "generic",
        "wrong",
        *(f"--from-literal={key}=wrong" for key in keys),
        check=False,
    )
    wrong_keys = {**bucket, "bucket": where | {"existingSecret": "wrong"}}
    wrong_config = {**bucket, "arms": ["real-x2"]}
    for name, values in (("denied", wrong_keys), ("refused", wrong_config)):
        helm("install", name, files, tiny() | values)
        if wait_for_end(name, "preflight") != "Failed":
            faults.append(f"{name} did not fail")
        selector = f"mura-jobs/run={name},mura-jobs/job=preflight"
        pods = json.loads(_run("kubectl", "get", "pods", "-l", selector, "-o", "json"))["items"]
        codes = [pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] for pod in pods]
        _say(f"{name}: exit codes {codes}")
        faults += [f"{name}: exit codes {codes}"] if codes != [64] else []
    _say("; ".join(faults) or "all as it should be")
    return 1 if faults else 0


def _run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
    return done.stdout


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
