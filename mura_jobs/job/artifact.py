"""A stage's output: objects in the bucket that exist once their manifest does.

Objects are uploaded first, under names that carry their own digest (`index.3fa92b1c04de.parquet`), so that
two attempts at the same output, or a killed one and its successor, never overwrite each other's bytes. The
manifest is written last, by a conditional put: exactly one attempt publishes, and readers see all or nothing.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
import json
from pathlib import Path, PurePosixPath
import platform
from types import MappingProxyType
from typing import Any

from mura_jobs.bucket.base import Bucket, BucketError
from mura_jobs.errors import InputError
from mura_jobs.job.manifest import MANIFEST, Manifest, StoredObject, Usage, read_manifest

WORKINGS = ("checkpoints", "parts")
"""Folders below an output that are of no use once it is published."""

_ROUNDS = 10
"""How often a place may be taken and free again before publishing there gives up."""


class ArtifactMissing(InputError):
    """Nothing is published at the prefix. Exit code 65, as for any unusable input."""


class Artifact:
    """A published output, read with every byte checked against the manifest."""

    def __init__(self, bucket: Bucket, prefix: str, manifest: Manifest) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.manifest = manifest

    @classmethod
    def open(cls, bucket: Bucket, prefix: str) -> "Artifact":
        """Open what is published at `prefix`.

        Raises:
            ArtifactMissing: nothing is published there.
            InputError: the manifest can't be understood.
        """
        manifest = read_manifest(bucket, prefix)
        if manifest is None:
            raise ArtifactMissing(f"{bucket.url}: nothing is published at {prefix}; run its stage first")
        return cls(bucket, prefix, manifest)

    @property
    def names(self) -> list[str]:
        """Names of the objects, sorted."""
        return sorted(self.manifest.objects)

    def read(self, name: str) -> bytes:
        """The bytes of one object.

        Raises:
            InputError: the artifact has no such object, or its bytes are not those that were published.
        """
        stored = self._stored(name)
        data = self.bucket.read(f"{self.prefix}/{stored.key}")
        if sha256(data).hexdigest() != stored.sha256:  # perhaps changed on the way, not where it lies
            data = self.bucket.read(f"{self.prefix}/{stored.key}")
        self._verify(name, len(data), sha256(data).hexdigest())
        return data

    def fetch(self, name: str, folder: Path) -> Path:
        """Download one object to `folder/name` and return that path. A verified copy there is kept.

        Raises:
            InputError: as `read`.
        """
        stored = self._stored(name)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):  # as in `read`
            if path.exists() and path.stat().st_size == stored.bytes and file_digest(path) == stored.sha256:
                return path
            self.bucket.download(f"{self.prefix}/{stored.key}", path)
        self._verify(name, path.stat().st_size, file_digest(path))
        return path

    def _stored(self, name: str) -> StoredObject:
        if name not in self.manifest.objects:
            raise InputError(f"{self.prefix} holds no {name}; it holds {', '.join(self.names)}")
        return self.manifest.objects[name]

    def _verify(self, name: str, size: int, digest: str) -> None:
        stored = self.manifest.objects[name]
        if (size, digest) != (stored.bytes, stored.sha256):
            raise InputError(
                f"{self.bucket.url}: {self.prefix}/{stored.key} is damaged: {size} bytes with sha256 "
                f"{digest[:12]}…, expected {stored.bytes} bytes with {stored.sha256[:12]}…; "
                f"run its stage again with --replace"
            )


class Draft:
    """An output being made: put objects, then publish. Until then it does not exist for any reader."""

    def __init__(
        self,
        bucket: Bucket,
        prefix: str,
        *,
        stage: str,
        config: Mapping[str, Any],
        inputs: Mapping[str, str],
        sources: Mapping[str, str] = MappingProxyType({}),
        plain_names: bool = False,
        usage: Callable[[], Usage] = Usage,
    ) -> None:
        """Begin an output at `prefix`.

        Args:
            bucket: where it will lie.
            prefix: its folder, without a slash at the end.
            stage: the stage that makes it.
            config: the stage's plain configuration.
            inputs: digests of the artifacts read, by prefix.
            sources: what tells whether raw data changed, by where it lies.
            plain_names: objects' keys are their names as they stand, for what people and other tools open by
                name; only for outputs whose bytes are a function of configuration and inputs alone.
            usage: asked for time and devices spent when the manifest is written.
        """
        self.bucket = bucket
        self.prefix = prefix
        self.stage = stage
        self.config = dict(config)
        self.inputs = dict(inputs)
        self.sources = dict(sources)
        self.plain_names = plain_names
        self._usage = usage
        self._objects: dict[str, StoredObject] = {}

    def put(self, name: str, data: bytes) -> None:
        """Upload one object from memory."""
        stored = self._store(name, len(data), sha256(data).hexdigest())
        self.bucket.write(f"{self.prefix}/{stored.key}", data)

    def put_all(self, items: Mapping[str, bytes]) -> None:
        """Upload many small objects at once."""
        self.bucket.write_all(
            (f"{self.prefix}/{self._store(name, len(data), sha256(data).hexdigest()).key}", data)
            for name, data in items.items()
        )

    def put_file(self, name: str, path: Path) -> None:
        """Upload one object from a file."""
        stored = self._store(name, path.stat().st_size, file_digest(path))
        self.bucket.upload(path, f"{self.prefix}/{stored.key}")

    def publish(self, summary: Mapping[str, Any]) -> Manifest:
        """Make the output exist, and return its manifest.

        If another attempt at the same output published first, its manifest is returned: the output is theirs.

        Raises:
            ConfigError: something made with another configuration was published there meanwhile.
            BucketError: others publish and clear away again and again.
        """
        manifest = Manifest(
            format="mura-jobs/1",
            stage=self.stage,
            config=self.config,
            inputs=self.inputs,
            sources=self.sources,
            objects=dict(sorted(self._objects.items())),
            summary=dict(summary),
            versions=_versions(),
            usage=self._usage(),
            published=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        data = json.dumps(manifest.plain(), indent=1, ensure_ascii=False, allow_nan=False).encode()
        for _ in range(_ROUNDS):
            if self.bucket.create(f"{self.prefix}/{MANIFEST}", data):
                return manifest
            winner = read_manifest(self.bucket, self.prefix)
            if winner is not None:  # else it was cleared away since
                winner.require_same(self.prefix, self.config, self.inputs, self.sources)
                return winner
        raise BucketError(
            f"{self.bucket.url}: {self.prefix}/{MANIFEST} was there {_ROUNDS} times, and gone when read; "
            "run it again when nothing else writes there"
        )

    def _store(self, name: str, size: int, digest: str) -> StoredObject:
        key = name if self.plain_names else _hashed_key(name, digest)
        assert name != MANIFEST
        self._objects[name] = StoredObject(key=key, bytes=size, sha256=digest)
        return self._objects[name]


def withdraw(bucket: Bucket, prefix: str) -> None:
    """Delete what is published at `prefix` and everything under it, the manifest first."""
    bucket.delete([f"{prefix}/{MANIFEST}"])
    bucket.delete(entry.key for entry in list(bucket.list(f"{prefix}/")))


def clear_workings(bucket: Bucket, prefix: str) -> None:
    """Delete what an output at `prefix` was made from, killed attempts' included: manifests first."""
    keys = [entry.key for folder in WORKINGS for entry in bucket.list(f"{prefix}/{folder}/")]
    bucket.delete(sorted(keys, key=lambda key: not key.endswith(f"/{MANIFEST}")))


def file_digest(path: Path) -> str:
    """The sha256 (hex) of a file's bytes."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _hashed_key(name: str, digest: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}.{digest[:12]}{path.suffix}"))


def _versions() -> dict[str, str]:
    packages = ("mura-jobs", "torch", "torchvision", "numpy", "pillow", "opencv-python-headless")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
