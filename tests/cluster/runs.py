"""A small run whose outputs are written by hand, to try what looks at it from outside."""

from datetime import UTC, datetime, timedelta
import json
from typing import Any

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Draft
from mura_jobs.job.events import record_key
from mura_jobs.job.manifest import Usage
from mura_jobs.stages import Instance, RunConfig, plan

RUN = RunConfig.parse({"arms": ["real", "real+synthetic"], "seeds": 2})
RUN_ID = "mura"
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def instance(place: str, run: RunConfig = RUN) -> Instance:
    return next(found for found in plan(run) if found.place == place)


def publish(
    bucket: Bucket,
    place: str,
    *,
    run: RunConfig = RUN,
    run_id: str = RUN_ID,
    wall: float = 60.0,
    devices: int = 1,
) -> None:
    """Publish an empty output of the run's own configuration."""
    found = instance(place, run)
    usage = Usage(devices=("GPU",) * devices, wall_seconds=wall, device_seconds=wall * devices)
    draft = Draft(
        bucket,
        found.stage.prefix(found.config, run_id),
        stage=found.stage.name,
        config=found.config.plain(),
        inputs={},
        usage=lambda: usage,
    )
    draft.publish({})


def tell(bucket: Bucket, place: str, *lines: dict[str, Any], index: int = 0, run_id: str = RUN_ID) -> None:
    """Write an instance's event record; `ago` of a line is in seconds before `NOW`."""
    whole = []
    for line in lines:
        time = NOW - timedelta(seconds=line.pop("ago", 0.0))
        whole.append(
            {"time": time.isoformat(), "instance": place, "rank": 0, "attempt": 1, "elapsed_s": 0.0} | line
        )
    data = "".join(json.dumps(line) + "\n" for line in whole)
    bucket.write(record_key(run_id, place, index), data.encode())
