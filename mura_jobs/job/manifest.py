"""What says that a stage's output exists, and what it is."""

from collections.abc import Mapping
from functools import cached_property
import json
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field, field_validator

from mura_jobs.bucket.base import Bucket, ObjectMissing
from mura_jobs.bucket.keys import why_invalid
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.job.config import Config, canonical_digest, differences

MANIFEST = "manifest.json"


class StoredObject(Config):
    """Where one object of an artifact lies and what its bytes must be."""

    key: str
    """Key relative to the artifact's prefix."""
    bytes: int
    """Size in bytes."""
    sha256: str
    """Digest of the bytes, in hex."""


class Usage(Config):
    """What making an artifact took, over all attempts."""

    devices: tuple[str, ...] = ()
    """Names of the devices that worked on it."""
    wall_seconds: float = 0.0
    """Wall-clock time in seconds."""
    device_seconds: float = 0.0
    """Wall-clock seconds times devices held."""


class Manifest(Config):
    """The record that makes a stage's output exist."""

    format: Literal["mura-jobs/1"]
    """Version of this format."""
    stage: str
    """The stage that made it."""
    config: dict[str, Any]
    """The stage's configuration, every field."""
    inputs: dict[str, str]
    """Digest of each artifact that was read, by its prefix in the run."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Of raw data that was read, what tells whether it changed since, by where it lies. It may hold times, so
    it is no part of the content's identity: that is in the objects."""
    objects: dict[str, StoredObject]
    """The objects by name."""
    summary: dict[str, Any]
    """What a reader wants to know without opening the objects."""
    versions: dict[str, str]
    """Versions of what made it."""
    usage: Usage
    """Time and devices spent."""
    published: str
    """UTC time of publication, ISO 8601."""

    @field_validator("objects")
    @classmethod
    def _lead_nowhere_else(cls, objects: dict[str, StoredObject]) -> dict[str, StoredObject]:
        for path in (*objects, *(stored.key for stored in objects.values())):
            if reason := why_invalid(path):
                raise ValueError(f"{path[:200]!r} can't be an object's name: {reason}")
        return objects

    @cached_property
    def digest(self) -> str:
        """Identity of the content: the sha256 of stage, configuration, inputs and objects, and of no time."""
        objects = {name: stored.sha256 for name, stored in self.objects.items()}
        return canonical_digest([self.stage, self.config, self.inputs, objects])

    def require_same(
        self,
        where: str,
        config: Mapping[str, Any],
        inputs: Mapping[str, str],
        sources: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Check that this is what the given configuration, inputs and raw data would make.

        Raw data that is no longer there can't be compared, and needs not be.

        Raises:
            ConfigError: naming every field and input that differs.
        """
        found = differences(self.config, config)
        found += [f"input {name}" for name in differences(self.inputs, inputs)]
        found += [
            f"{name}: raw data changed since (names, sizes or versions of its files)"
            for name in sorted(self.sources.keys() & sources.keys())
            if self.sources[name] != sources[name]
        ]
        if found:
            raise ConfigError(
                f"{where} was made with another configuration:\n  "
                + "\n  ".join(found)
                + "\nUse another run id to keep both, or --replace to discard what is there."
            )


def read_manifest(bucket: Bucket, prefix: str) -> Manifest | None:
    """The manifest at `prefix`, or None where nothing is published.

    Raises:
        InputError: it is not a manifest of this format.
    """
    key = f"{prefix}/{MANIFEST}"
    try:
        data = bucket.read(key)
    except ObjectMissing:
        return None
    return parse_manifest(data, f"{bucket.url}: {key}")


def parse_manifest(data: bytes, where: str) -> Manifest:
    """A manifest from its bytes; `where` it lies is for messages.

    Raises:
        InputError: it is not a manifest of this format.
    """
    try:
        return Manifest.parse(json.loads(data))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{where} is not a manifest this version can read: {error}") from None
