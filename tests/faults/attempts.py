"""Attempts at stages: real processes that can be killed, and what they left in the bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import json
import os
from pathlib import Path
import select
import signal
import subprocess
import sys
from typing import Any, Self

import yaml

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.manifest import MANIFEST, read_manifest
from mura_jobs.stages import Instance, RunConfig, plan

SMALL = Path(__file__).with_name("small.yaml")
RUN = "r"
LONGEST_SECONDS = 240.0

INSTANCES = {
    instance.place: instance for instance in plan(RunConfig.parse(yaml.safe_load(SMALL.read_text())))
}
"""Every stage instance of the small run, in order, by place."""
STRUCK = (
    "raw/phantom",
    "preprocess",
    "train-gan/positive",
    "synthesize/positive",
    "train-cnn/real+synthetic/seed-0",
    "report",
)
"""One instance of each stage: those that are struck."""


def words(place: str, url: str, *more: str) -> list[str]:
    """The command line of one stage instance, as a user would give it."""
    instance = INSTANCES[place]
    where = ["--bucket", url, "--run-id", RUN, "--config", str(SMALL), "--log", "json", "--device", "cpu"]
    which = [word for name, value in instance.which.items() for word in (f"--{name}", str(value))]
    return (
        [instance.stage.name, *where, "--threads", "1", *which, *more]
        if instance.stage.trains
        else [instance.stage.name, *where, *which, *more]
    )


class Zygote:
    """The process that starts attempts; see `tests.faults.zygote`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._codes: dict[int, int] = {}
        self._unread = b""
        self._started = 0
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert self._answer(LONGEST_SECONDS) == {"ready": True}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it; attempts that still run are its children and go on to their end."""
        self._process.kill()
        self._process.communicate()

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        patches: Mapping[str, Any] | None = None,
        clock: float = 0.0,
    ) -> "Attempt":
        """Start an attempt, whose clock is so many seconds ahead."""
        self._started += 1
        log = self._folder / f"attempt-{self._started:04d}.log"
        order = {
            "words": [*command],
            "log": str(log),
            "environment": dict(environment or {}),
            "patches": dict(patches or {}),
            "clock": clock,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        while "code" in (found := self._answer(LONGEST_SECONDS)):
            self._codes[found["pid"]] = found["code"]
        self._codes.pop(found["pid"], None)  # of an earlier attempt: numbers of processes come again
        return Attempt(self, found["pid"], log)

    def code(self, pid: int, seconds: float) -> int | None:
        """The exit code of an attempt, negative for a signal; None when it runs after so many seconds."""
        while pid not in self._codes:
            found = self._answer(seconds)
            if found is None:
                return None
            self._codes[found["pid"]] = found["code"]
        return self._codes[pid]

    def _answer(self, seconds: float) -> Any:  # noqa: ANN401 - JSON
        assert self._process.stdout is not None
        while b"\n" not in self._unread:
            if not select.select([self._process.stdout], [], [], seconds)[0]:
                return None
            read = os.read(self._process.stdout.fileno(), 1 << 16)
            assert read, "the zygote has ended"
            self._unread += read
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)


@dataclass
class Attempt:
    """One process that runs a stage."""

    zygote: Zygote
    pid: int
    log: Path

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended, which is waited for."""
        return self.zygote.code(self.pid, seconds) is not None

    def code(self) -> int:
        """Its exit code, negative for a signal, which is waited for."""
        code = self.zygote.code(self.pid, LONGEST_SECONDS)
        assert code is not None, f"it hangs:\n{self.text[-3000:]}"
        return code

    def send(self, signal_number: signal.Signals) -> bool:
        """Send a signal; whether it was still there."""
        try:
            os.kill(self.pid, signal_number)
        except ProcessLookupError:
            return False
        return True

    @property
    def text(self) -> str:
        """All it said."""
        return self.log.read_text("utf-8", "replace")

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events it told."""
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]

    def said(self, kind: str) -> bool:
        """Whether it told an event of this kind."""
        return any(event["event"] == kind for event in self.events)


@dataclass(frozen=True)
class Whole:
    """A run that nothing disturbed."""

    bucket: Bucket
    seconds: dict[str, float]
    """How long each instance took, by place."""
    objects: dict[str, dict[str, str]]
    """The sha256 of each object, by place and name."""


def prefix_of(place: str) -> str:
    """Where an instance's output lies in the bucket."""
    instance = INSTANCES[place]
    return instance.stage.prefix(instance.config, RUN)


def prefixes_read(instance: Instance) -> list[str]:
    """Where what it reads lies."""
    raw = ["raw/"] if instance.stage.name == "preprocess" else []
    return [*raw, *(f"runs/{RUN}/{need}/" for need in instance.stage.needs(instance.config))]


def copy_inputs(place: str, source: Bucket, target: Bucket) -> None:
    """Bring what an instance reads into an empty bucket."""
    keys = [entry.key for prefix in prefixes_read(INSTANCES[place]) for entry in source.list(prefix)]
    target.write_all(source.read_all(keys))


def published(bucket: Bucket, place: str) -> dict[str, str] | None:
    """The sha256 of every object of what an instance published, each read; None where nothing is."""
    prefix = prefix_of(place)
    if read_manifest(bucket, prefix) is None:
        return None
    artifact = Artifact.open(bucket, prefix)
    for name in artifact.names:
        artifact.read(name)
    return {name: stored.sha256 for name, stored in artifact.manifest.objects.items()}


def unlisted(bucket: Bucket, place: str) -> list[str]:
    """Objects below an instance's prefix that its manifest does not name."""
    prefix = prefix_of(place)
    manifest = read_manifest(bucket, prefix)
    assert manifest is not None
    named = {f"{prefix}/{stored.key}" for stored in manifest.objects.values()} | {f"{prefix}/{MANIFEST}"}
    return [entry.key for entry in bucket.list(f"{prefix}/") if entry.key not in named]


def make_whole(zygote: Zygote, url: str, endpoint: str | None = None) -> dict[str, float]:
    """Run every instance, undisturbed; the seconds that each took."""
    seconds = {}
    for place in INSTANCES:
        attempt = zygote.start(words(place, url, *([] if endpoint is None else ["--endpoint", endpoint])))
        assert attempt.code() == 0, attempt.text
        ended = attempt.events[-1]
        seconds[place] = float(ended["elapsed_s"])
    return seconds


def bucket_in(folder: Path) -> Bucket:
    """An empty bucket in a folder."""
    folder.mkdir(parents=True)
    return open_bucket(folder.as_uri())
