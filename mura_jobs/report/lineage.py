"""What ran where, for how long, from what, and how it was set."""

from collections.abc import Iterator, Mapping
import json
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


def configurations(rows: list[Plain], report: Plain) -> list[Plain]:
    """Every field of every stage; where its instances differ in a field, all values that it takes.

    Args:
        rows: from `lineage`.
        report: the report's own configuration.
    """
    stages: dict[str, list[Plain]] = {}
    for row in rows:
        stages.setdefault(row["stage"], []).append(row["config"])
    stages["report"] = [report]
    return [{"stage": stage, "fields": _fields(configs)} for stage, configs in stages.items()]


def _fields(configs: list[Plain]) -> list[Plain]:
    tables = [dict(_flat(config)) for config in configs]
    names = list(dict.fromkeys(name for table in tables for name in table))
    return [
        {"field": name, "values": list(dict.fromkeys(table[name] for table in tables if name in table))}
        for name in names
    ]


def _flat(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in config.items():
        key = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            yield from _flat(value, key)
        else:
            yield key, json.dumps(value, ensure_ascii=False)


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
