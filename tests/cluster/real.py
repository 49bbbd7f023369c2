"""The chart on a real cluster: `make cluster-test`, or `python -m tests.cluster.real VALUES…`.

It takes helm, kubectl and KUBECONFIG. VALUES are files that say what this cluster needs: where the images
are, hostNetwork and so on. Everything is installed into the present namespace, and removed at the end:

1. a whole run with a bucket of its own, from the driver to the report; `helm test`;
2. the same run again, disturbed: a pod is deleted while it trains, another is evicted, and the driver's is
   deleted too, which no Job counts as a failure; an upgrade that would replace what runs is refused, one that
   changes nothing closes no gate, a rollback stops nothing for good. All outputs must be the same, bit for
   bit;
3. wrong credentials and a wrong configuration, which must fail at once and once.

It prints what each took, and exits 1 when something is not as it should be.
"""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any

import yaml

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.cluster.record import read
from mura_jobs.job.artifact import Artifact
from mura_jobs.stages import plan
from tests.cluster.kubectl import (
    delete_pods,
    evict_pods,
    jobs,
    minor_version,
    pods,
    run_command,
    say,
    selector,
    show_times,
    wait_for_a_checkpoint,
    wait_for_end,
)

CHART = Path(__file__).parents[2] / "helm" / "mura-jobs"
TINY = Path(__file__).parents[1] / "pipeline" / "tiny.yaml"
RESOURCES = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "3Gi"}}
URL = "s3://mura-jobs"
FORWARDED = "http://127.0.0.1:8333"
KEYS = {"AWS_ACCESS_KEY_ID": "development", "AWS_SECRET_ACCESS_KEY": "development-only"}
INDEXED_JOBS, POD_FAILURE_POLICY = 22, 26
"""The minor versions of Kubernetes from which on the chart renders them."""


def tiny() -> dict[str, Any]:
    """The tests' tiny run, with shards where they can be and a training that can be disturbed in time."""
    run = yaml.safe_load(TINY.read_text("utf-8"))
    stages = ("phantom", "preprocess", "train-gan", "synthesize", "train-cnn", "report")
    values: dict[str, Any] = {
        name: {"config": run.get(name, {}), "gpus": 0, "shmSize": "256Mi", "resources": RESOURCES}
        for name in stages
    }
    values["phantom"]["enabled"] = True
    for stage in ("preprocess", "synthesize"):
        values[stage]["shards"] = 2 if minor_version() >= INDEXED_JOBS else 1
    values["train-gan"]["config"] |= {"kimg": 0.512}
    values |= {name: run[name] for name in ("labels", "arms", "seeds") if name in run}
    return values | {"jobDefaults": {"scratchSize": "1Gi"}, "preflight": {"resources": RESOURCES}}


class Releases:
    """Releases of the chart in the present namespace, with the values of this cluster."""

    def __init__(self, files: list[str]) -> None:
        self._files = files
        self._installed: list[str] = []

    def helm(self, action: str, name: str, values: dict[str, Any]) -> str:
        """`helm install` or `upgrade`; RuntimeError with Helm's own words where it refuses."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as own:
            yaml.safe_dump(values, own)
            own.flush()
            flags = [flag for file in [own.name, *self._files] for flag in ("--values", file)]
            if action == "install":
                self._installed.append(name)
            return run_command("helm", action, name, str(CHART), *flags)

    def uninstall(self) -> list[str]:
        """Remove every release; return what is left of them."""
        for name in reversed(self._installed):
            run_command("helm", "uninstall", name, check=False)
        run_command("kubectl", "delete", "secret", "wrong", "--ignore-not-found")
        kinds = "jobs,pods,deployments,services,configmaps,secrets,serviceaccounts,roles,rolebindings"
        begin = time.monotonic()
        left: list[str] = []
        while time.monotonic() - begin < 120:
            left = [
                found
                for name in self._installed
                for found in run_command("kubectl", "get", kinds, "-l", selector(name), "-o", "name").split()
            ]
            if not left:
                break
            time.sleep(2)
        return left


def roll_back(run: str) -> None:
    """Helm 4 refuses to undo what the driver did, and changes nothing; Helm 3 suspends what runs."""
    try:
        run_command("helm", "rollback", run, "1")
        say("rolled back")
    except RuntimeError as refusal:
        if "conflict" not in str(refusal):
            raise
        say("the rollback was refused")


@contextmanager
def bucket_of(run: str, *, forward: bool) -> Iterator[Bucket]:
    """The development bucket, by way of a forwarded port where it is not on this machine."""
    os.environ |= KEYS
    command = ["kubectl", "port-forward", f"service/{run}-bucket", "8333:8333"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL) if forward else None
    try:
        time.sleep(3 if forward else 0)
        yield open_bucket(URL, FORWARDED)
    finally:
        if process is not None:
            process.terminate()


def digests(bucket: Bucket, run: str) -> dict[str, str]:
    """Every output's digest but the report's, whose page says when it was made."""
    return {
        place: Artifact.open(bucket, instance.stage.prefix(instance.config, run)).manifest.digest
        for instance in plan(read(bucket, run))
        if (place := instance.place) not in ("report", "raw/phantom")
    }


def report(bucket: Bucket, run: str) -> bool:
    """Whether the report, checked against its manifest, is a page with a verdict."""
    page = Artifact.open(bucket, f"runs/{run}/report").read("index.html")
    return page.lower().startswith(b"<!doctype html>") and b"radiographs" in page


def whole(releases: Releases) -> list[str]:
    """A run that nothing disturbs."""
    begin = time.monotonic()
    releases.helm("install", "whole", tiny() | {"developmentBucket": {"enabled": True}})
    say(f"whole is installed after {time.monotonic() - begin:.1f} s")
    if wait_for_end("whole", "driver") != "Complete":
        return ["the run did not complete"]
    show_times("whole")
    say(run_command("helm", "test", "whole").splitlines()[-1])
    return []


def disturbed(releases: Releases, elsewhere: dict[str, Any]) -> list[str]:
    """The same run again, which loses a training pod and its driver, and is upgraded meanwhile."""
    faults = []
    values = tiny() | elsewhere
    releases.helm("install", "disturbed", values)
    wait_for_a_checkpoint("disturbed", "train-gan-positive")
    delete_pods("disturbed", "train-gan-positive")
    delete_pods("disturbed", "driver")
    wait_for_a_checkpoint("disturbed", "train-gan-negative")
    try:
        changed = tiny()["train-gan"]
        changed["config"] |= {"kimg": 0.544}
        releases.helm("upgrade", "disturbed", values | {"train-gan": changed})
        faults.append("an upgrade replaced a running Job")
    except RuntimeError as refusal:
        say(str(refusal).splitlines()[-1])
        faults += [] if "allowUpgrade=true" in str(refusal) else [f"the upgrade failed: {refusal}"]
    releases.helm("upgrade", "disturbed", values)
    evict_pods("disturbed", "train-gan-negative")
    roll_back("disturbed")
    if wait_for_end("disturbed", "driver") != "Complete":
        return [*faults, "the disturbed run did not complete"]
    show_times("disturbed")
    if minor_version() >= POD_FAILURE_POLICY:
        counted = {key: job["status"].get("failed", 0) for key, job in jobs("disturbed").items()}
        faults += [f"{key}: {count} pods were counted as failed" for key, count in counted.items() if count]
    return faults


def wrong(releases: Releases, elsewhere: dict[str, Any]) -> list[str]:
    """Wrong credentials and a wrong configuration."""
    faults = []
    run_command(
        "kubectl", "create", "secret", "generic", "wrong", *(f"--from-literal={key}=wrong" for key in KEYS)
    )
    where = elsewhere["bucket"]
    wrong_keys = {**elsewhere, "bucket": where | {"existingSecret": "wrong"}}
    wrong_config = {**elsewhere, "arms": ["real+synthetic-x9"]}
    for name, values in (("denied", wrong_keys), ("refused", wrong_config)):
        releases.helm("install", name, tiny() | values)
        if wait_for_end(name, "preflight") != "Failed":
            faults.append(f"{name} did not fail")
        states = [pod["status"]["containerStatuses"][0]["state"] for pod in pods(name, "preflight")]
        codes = [state["terminated"]["exitCode"] for state in states]
        say(f"{name}: exit codes {codes}")
        faults += [f"{name}: exit codes {codes}"] if codes != [64] else []
        begun = [
            key for key, job in jobs(name).items() if "mura-jobs/opened" in job["metadata"]["annotations"]
        ]
        faults += [f"{name}: {begun} began all the same"] if begun else []
    return faults


def main(files: list[str]) -> int:
    merged: dict[str, Any] = {}
    for file in files:
        merged |= yaml.safe_load(Path(file).read_text("utf-8"))
    on_host = merged.get("developmentBucket", {}).get("hostNetwork", False)
    theirs = FORWARDED if on_host else "http://whole-bucket:8333"
    elsewhere = {"bucket": {"url": URL, "endpoint": theirs, "existingSecret": "whole-bucket"}}
    releases = Releases(files)
    try:
        faults = whole(releases)
        faults = faults or [*disturbed(releases, elsewhere), *wrong(releases, elsewhere)]
        if not faults:
            with bucket_of("whole", forward=not on_host) as bucket:
                found = [digests(bucket, run) for run in ("whole", "disturbed")]
                faults += [] if report(bucket, "disturbed") else ["the report is no page"]
            differ = [place for place in found[0] if found[0][place] != found[1].get(place)]
            say(f"{len(found[0])} outputs compared, {len(differ)} differ")
            faults += [f"{place} differs after a disturbance" for place in differ]
    finally:
        left = releases.uninstall()
    faults += [f"{name} is left" for name in left]
    say("; ".join(faults) or "all as it should be")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
