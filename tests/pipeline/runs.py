"""Whole runs for tests: start one, and read what it left."""

import json
from pathlib import Path
import subprocess
import sys

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Artifact

TINY = Path(__file__).with_name("tiny.yaml")


def command(url: str, *arguments: str, config: Path = TINY, run_id: str = "r") -> list[str]:
    """The command line of a whole run, as a user would give it."""
    where = ["--bucket", url, "--run-id", run_id, "--config", str(config), "--log", "json"]
    return [sys.executable, "-m", "mura_jobs", "run", *where, *arguments]


def run(url: str, *arguments: str, config: Path = TINY) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(
        command(url, *arguments, config=config), capture_output=True, text=True, check=False
    )


def results(bucket: Bucket) -> dict[str, object]:
    """What a run found, without the times it took: each artifact's identity, and the report's numbers."""
    found: dict[str, object] = dict(digests(bucket))
    del found["runs/r/report"]  # it shows times
    report = json.loads(bucket.read("runs/r/report/report.json"))
    return found | {name: report[name] for name in ("answer", "arms", "effects", "comparisons", "counts")}


def digests(bucket: Bucket) -> dict[str, str]:
    """The content's identity of everything published, by prefix."""
    prefixes = [
        entry.key.removesuffix("/manifest.json")
        for entry in bucket.list()
        if entry.key.endswith("/manifest.json")
    ]
    published = [prefix for prefix in prefixes if "/checkpoints/" not in prefix and "/parts/" not in prefix]
    return {prefix: Artifact.open(bucket, prefix).manifest.digest for prefix in published}


def read_everything(bucket: Bucket) -> int:
    """Read every published object against its manifest and return their number."""
    artifacts = [Artifact.open(bucket, prefix) for prefix in digests(bucket)]
    return sum(len([artifact.read(name) for name in artifact.names]) for artifact in artifacts)
