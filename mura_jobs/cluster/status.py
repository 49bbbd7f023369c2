"""Where a run stands, from the bucket alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Literal

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.lines import parse_lines
from mura_jobs.job.manifest import Manifest, read_manifest
from mura_jobs.stages import Instance, RunConfig, plan

State = Literal["published", "running", "silent", "stopped", "failed", "waiting"]
Line = Mapping[str, Any]


@dataclass(frozen=True)
class Progress:
    """One stage instance of a run."""

    place: str
    state: State
    note: str
    """What it does or why it ended, in its own words."""
    share: float | None
    """How much of its present piece of work is done, 0 to 1."""
    left_seconds: float | None
    """Time to its end, None where nothing is known to judge from."""
    device_seconds: float
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """A run as a whole."""

    run: str
    instances: tuple[Progress, ...]

    @property
    def published(self) -> int:
        """Instances that are done."""
        return sum(instance.state == "published" for instance in self.instances)

    @property
    def device_hours(self) -> float:
        """Hours of devices spent so far, over all attempts."""
        return sum(instance.device_seconds for instance in self.instances) / 3600

    @property
    def left(self) -> tuple[timedelta, bool]:
        """Time to the end if everything runs as soon as it can, and whether all of it is known."""
        ends: dict[str, float] = {}
        known = True
        for instance in self.instances:
            known = known and instance.left_seconds is not None
            begin = max((ends.get(need, 0.0) for need in instance.needs), default=0.0)
            ends[instance.place] = begin + (instance.left_seconds or 0.0)
        return timedelta(seconds=round(max(ends.values(), default=0.0))), known

    def plain(self) -> dict[str, Any]:
        """What `--output json` prints."""
        left, known = self.left
        return {
            "run": self.run,
            "published": self.published,
            "of": len(self.instances),
            "left_seconds": left.total_seconds(),
            "left_is_known": known,
            "device_hours": round(self.device_hours, 3),
            "instances": [asdict(instance) for instance in self.instances],
        }


def look(bucket: Bucket, run_id: str, run: RunConfig, silent_seconds: float, now: datetime) -> Status:
    """Read manifests and event records and judge from them. `run` is the run's configuration."""
    instances = plan(run)
    raw = tuple(instance.place for instance in instances if instance.stage.raw)
    manifests = {
        instance.place: read_manifest(bucket, instance.stage.prefix(instance.config, run_id))
        for instance in instances
    }
    records = _records(bucket, run_id)
    walls: dict[str, list[float]] = {}
    for instance in instances:
        manifest = manifests[instance.place]
        if manifest is not None:
            walls.setdefault(instance.stage.name, []).append(manifest.usage.wall_seconds)
    usual = {stage: median(seconds) for stage, seconds in walls.items()}
    return Status(
        run_id,
        tuple(
            _progress(
                instance,
                raw,
                manifests[instance.place],
                shares=records.get(instance.place, []),
                usual=usual.get(instance.stage.name),
                silent_since=now - timedelta(seconds=silent_seconds),
            )
            for instance in instances
        ),
    )


def _records(bucket: Bucket, run_id: str) -> dict[str, list[list[Line]]]:
    """Event lines by instance, one list for each of its shares."""
    records: dict[str, list[list[Line]]] = {}
    keys = [entry.key for entry in bucket.list(f"runs/{run_id}/events/")]
    for key, data in bucket.read_all(keys):
        lines: list[Line] = [*parse_lines(data, f"{bucket.url}/{key}")]
        if lines:
            records.setdefault(lines[0]["instance"], []).append(lines)
    return records


def _progress(
    instance: Instance,
    raw: tuple[str, ...],
    manifest: Manifest | None,
    *,
    shares: Sequence[Sequence[Line]],
    usual: float | None,
    silent_since: datetime,
) -> Progress:
    needs = instance.stage.needs(instance.config) or (() if instance.stage.raw else raw)
    spent = sum(_device_seconds(lines) for lines in shares)
    state: State = "waiting"
    note, share, left = "", None, usual
    if manifest is not None:
        state, left = "published", 0.0
        note = f"in {timedelta(seconds=round(manifest.usage.wall_seconds))}"
        spent = max(spent, manifest.usage.device_seconds)
    elif shares:
        told = [_told(lines, silent_since) for lines in shares]
        # the share that is worst off speaks for the instance
        state, note, share, left = max(told, key=lambda part: ORDER.index(part[0]))
        known = [part[3] for part in told if part[3] is not None]
        left = max(known) if known else usual
    return Progress(instance.place, state, note, share, left, spent, needs)


ORDER: tuple[State, ...] = ("waiting", "published", "running", "silent", "stopped", "failed")


def _told(lines: Sequence[Line], silent_since: datetime) -> tuple[State, str, float | None, float | None]:
    """State, note, share done and seconds left, as a record's last lines tell them."""
    last = lines[-1]
    if last["event"] == "failed":
        return "failed", f"exit {last['exit_code']}: {last['error']}", None, None
    if last["event"] == "stopped":
        return "stopped", "by SIGTERM; goes on when it is started again", None, None
    if last["event"] in ("published", "part published", "already published"):
        return "published", last["event"], 1.0, 0.0
    state: State = "running" if datetime.fromisoformat(last["time"]) >= silent_since else "silent"
    progress = next(
        (
            line
            for line in reversed(lines)
            if line["event"] == "progress" and line["attempt"] == last["attempt"]
        ),
        None,
    )
    if progress is None:
        return state, last["event"], None, None
    note = f"{progress['work']}: {progress['done']:,.6g} of {progress['total']:,.6g} {progress['unit']}"
    return state, note, progress["done"] / progress["total"] if progress["total"] else None, progress["eta_s"]


def _device_seconds(lines: Iterable[Line]) -> float:
    """Device-seconds on record over all attempts."""
    seconds: dict[int, float] = {}
    devices: dict[int, int] = {}
    for line in lines:
        attempt = line["attempt"]
        seconds[attempt] = max(seconds.get(attempt, 0.0), line["elapsed_s"])
        if line["event"] == "started":
            devices[attempt] = len(line.get("devices", ()))
    return sum(spent * devices.get(attempt, 0) for attempt, spent in seconds.items())


def utc_now() -> datetime:
    """The time by which records are judged."""
    return datetime.now(UTC)
