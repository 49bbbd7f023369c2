"""What the tests on a real cluster ask of kubectl: Jobs and pods of a run, their ends, disturbances."""

from datetime import datetime
import json
import subprocess
import sys
import tempfile
import time
from typing import Any

PATIENCE = 1500.0


def minor_version() -> int:
    """Which Kubernetes 1.x the cluster is."""
    version = json.loads(run_command("kubectl", "version", "-o", "json"))["serverVersion"]["minor"]
    return int(version.rstrip("+"))


def selector(run: str, key: str = "") -> str:
    """Labels of a run's objects, or of one Job's pods."""
    return f"mura-jobs/run={run}" + (f",mura-jobs/job={key}" if key else "")


def jobs(run: str) -> dict[str, dict[str, Any]]:
    """The run's Jobs by key."""
    listed = json.loads(run_command("kubectl", "get", "jobs", "-l", selector(run), "-o", "json"))
    return {job["metadata"]["labels"]["mura-jobs/job"]: job for job in listed["items"]}


def pods(run: str, key: str) -> list[dict[str, Any]]:
    """The pods of one of its Jobs."""
    listed = json.loads(run_command("kubectl", "get", "pods", "-l", selector(run, key), "-o", "json"))
    found: list[dict[str, Any]] = listed["items"]
    return found


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
            say(f"{run} {key} is {how} after {time.monotonic() - begin:.0f} s")
            return how
        time.sleep(2)
    raise TimeoutError(f"{run} {key} did not end; see kubectl get pods")


def show_times(run: str) -> None:
    found = jobs(run)
    for key, job in sorted(found.items(), key=lambda item: item[1]["status"].get("completionTime", "")):
        begun = [pod["status"]["startTime"] for pod in pods(run, key) if "startTime" in pod["status"]]
        status = job["status"]
        if "completionTime" in status and begun:
            begin, end = (datetime.fromisoformat(text) for text in (min(begun), status["completionTime"]))
            say(f"  {key:<34} {(end - begin).total_seconds():5.0f} s, {status.get('failed', 0)} failed pods")


def wait_for_a_checkpoint(run: str, key: str) -> None:
    begin = time.monotonic()
    command = ("kubectl", "logs", "-l", selector(run, key), "-c", "stage", "--tail=50")
    while time.monotonic() - begin < PATIENCE:
        if '"checkpoint"' in run_command(*command, check=False):
            return
        time.sleep(0.5)
    raise TimeoutError(f"{run} {key} never wrote a checkpoint")


def delete_pods(run: str, key: str) -> None:
    names = [pod["metadata"]["name"] for pod in pods(run, key)]
    run_command("kubectl", "delete", "pod", "--wait=false", *names)
    say(f"deleted {', '.join(names)}")


def evict_pods(run: str, key: str) -> None:
    """What `kubectl drain` does to pods, and an autoscaler that empties a node."""
    version = json.loads(run_command("kubectl", "get", "--raw", "/apis/policy"))["preferredVersion"][
        "groupVersion"
    ]
    for pod in pods(run, key):
        where = {name: pod["metadata"][name] for name in ("name", "namespace")}
        path = f"/api/v1/namespaces/{where['namespace']}/pods/{where['name']}/eviction"
        with tempfile.NamedTemporaryFile("w", suffix=".json") as eviction:
            json.dump({"apiVersion": version, "kind": "Eviction", "metadata": where}, eviction)
            eviction.flush()
            run_command("kubectl", "create", "--raw", path, "-f", eviction.name)
        say(f"evicted {where['name']}")


def run_command(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
    return done.stdout


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
