"""What a run would do: which outputs are there already, and how long the others took in earlier runs."""

from typing import Any, Literal, NamedTuple

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.config import Config, differences
from mura_jobs.job.manifest import MANIFEST, Manifest, parse_manifest, read_manifest
from mura_jobs.stages import Instance, RunConfig, plan

LENGTHS = {"train-gan": "kimg", "train-cnn": "epochs"}
"""The field of a stage's configuration to which its time is proportional."""


class Step(NamedTuple):
    """One stage instance of a run that may not have begun."""

    place: str
    state: Literal["published", "to do", "conflict"]
    """In conflict is what was published with another configuration: the stage would exit 64."""
    missing: tuple[str, ...]
    """What it needs and is not published yet."""
    differences: tuple[str, ...]
    """In which fields the configuration of what is published differs."""
    seconds: float | None
    """How long it took, or would take by an earlier run's time; None where no run of this bucket did it."""
    example: str
    """The run that `seconds` comes from."""
    devices: tuple[str, ...]
    """The devices it ran on there."""


def look_ahead(bucket: Bucket, run_id: str, run: RunConfig) -> list[Step]:
    """The steps of a run, in order."""
    instances = plan(run)
    manifests = {
        instance.place: read_manifest(bucket, instance.stage.prefix(instance.config, run_id))
        for instance in instances
    }
    earlier = _earlier(bucket) if None in manifests.values() else {}
    return [
        _step(instance, run_id, manifests, earlier.get(instance.stage.name, {})) for instance in instances
    ]


def _step(
    instance: Instance, run_id: str, manifests: dict[str, Manifest | None], earlier: dict[str, Manifest]
) -> Step:
    own = manifests[instance.place]
    example, manifest = (run_id, own) if own else _most_alike(instance.config, earlier)
    seconds = None
    if manifest is not None:
        seconds = manifest.usage.wall_seconds * _length(instance, manifest.config)
    different = tuple(differences(own.config, instance.config.plain())) if own else ()
    return Step(
        place=instance.place,
        state="conflict" if different else "published" if own else "to do",
        missing=tuple(need for need in instance.stage.needs(instance.config) if manifests[need] is None),
        differences=different,
        seconds=seconds,
        example=example,
        devices=manifest.usage.devices if manifest else (),
    )


def _length(instance: Instance, before: dict[str, Any]) -> float:
    """How many times as long as before the stage is."""
    field = LENGTHS.get(instance.stage.name)
    length = before.get(field) if field else None
    comparable = isinstance(length, int | float) and length > 0
    return instance.config.plain()[field] / length if field and comparable else 1.0


def _earlier(bucket: Bucket) -> dict[str, dict[str, Manifest]]:
    """Manifests of all runs in the bucket by stage and run; of several in one run, the last."""
    keys = [entry.key for entry in bucket.list("runs/") if entry.key.endswith(f"/{MANIFEST}")]
    found: dict[str, dict[str, Manifest]] = {}
    for key, data in bucket.read_all(keys):
        manifest = parse_manifest(data, f"{bucket.url}/{key}")
        found.setdefault(manifest.stage, {})[key.split("/")[1]] = manifest
    return found


def _most_alike(config: Config, earlier: dict[str, Manifest]) -> tuple[str, Manifest | None]:
    """The run whose configuration differs in the fewest fields."""
    if not earlier:
        return "", None
    run = min(earlier, key=lambda name: (len(differences(earlier[name].config, config.plain())), name))
    return run, earlier[run]
