"""What ran where, for how long, from what, and how it was set."""

from collections.abc import Iterator, Mapping
from typing import Any

from mura_jobs.job.artifact import Artifact

Plain = dict[str, Any]


def lineage(inputs: Mapping[str, Artifact]) -> list[Plain]:
    """One row for each output that the report read, in the order of the pipeline."""
    return [_row(place, artifact) for place, artifact in inputs.items()]


def cost(rows: list[Plain]) -> list[Plain]:
    """Wall time and device time by stage, and their sum."""
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    totals = [_total(stage, [row for row in rows if row["stage"] == stage]) for stage in stages]
    return [*totals, _total("all stages", rows)]


def settings(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """A plain configuration as (path, value) rows."""
    for name, value in config.items():
        key = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            yield from settings(value, key)
        elif isinstance(value, list):
            yield key, ", ".join(map(str, value))
        else:
            yield (
                key,
                "not given"
                if value is None
                else str(value).lower()
                if isinstance(value, bool)
                else str(value),
            )


def _row(place: str, artifact: Artifact) -> Plain:
    manifest = artifact.manifest
    return {
        "place": place,
        "stage": manifest.stage,
        "digest": manifest.digest,
        "inputs": manifest.inputs,
        "objects": len(manifest.objects),
        "bytes": sum(stored.bytes for stored in manifest.objects.values()),
        "published": manifest.published,
        "devices": list(manifest.usage.devices),
        "wall_seconds": manifest.usage.wall_seconds,
        "device_seconds": manifest.usage.device_seconds,
        "versions": manifest.versions,
        "config": manifest.config,
    }


def _total(name: str, rows: list[Plain]) -> Plain:
    return {
        "stage": name,
        "outputs": len(rows),
        "devices": sorted({device for row in rows for device in row["devices"]}),
        "wall_seconds": sum(row["wall_seconds"] for row in rows),
        "device_seconds": sum(row["device_seconds"] for row in rows),
    }
