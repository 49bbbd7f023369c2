from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mura_jobs.bucket.base import Bucket, BucketError
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.job.artifact import Artifact, ArtifactMissing, Draft, withdraw
from mura_jobs.job.manifest import read_manifest


def draft(bucket: Bucket, size: int = 1, source: str = "d0", *, plain_names: bool = False) -> Draft:
    return Draft(
        bucket,
        "runs/r/stage",
        stage="stage",
        config={"size": size, "inner": {"on": True}},
        inputs={"preprocess": source},
        plain_names=plain_names,
    )


def test_what_was_published_is_read_back(bucket: Bucket, tmp_path: Path) -> None:
    making = draft(bucket)
    file = tmp_path / "weights.bin"
    file.write_bytes(b"w" * 1000)
    making.put("metrics.jsonl", b"{}\n")
    making.put_all({"grids/a.png": b"a", "grids/b.png": b"b"})
    making.put_file("weights.bin", file)
    making.publish({"kimg": 3})
    artifact = Artifact.open(bucket, "runs/r/stage")
    assert artifact.names == ["grids/a.png", "grids/b.png", "metrics.jsonl", "weights.bin"]
    assert artifact.read("grids/b.png") == b"b"
    assert artifact.fetch("weights.bin", tmp_path / "new").read_bytes() == b"w" * 1000
    assert artifact.manifest.summary == {"kimg": 3}
    assert artifact.manifest.config == {"size": 1, "inner": {"on": True}}


def test_a_half_written_output_is_invisible(bucket: Bucket) -> None:
    draft(bucket).put("index.parquet", b"half")
    assert read_manifest(bucket, "runs/r/stage") is None
    with pytest.raises(ArtifactMissing, match="runs/r/stage"):
        Artifact.open(bucket, "runs/r/stage")


def test_racing_attempts_publish_once_and_whole(bucket: Bucket) -> None:
    """Attempts that differ in their bytes, as training on a GPU may, leave one winner, whole."""

    def attempt(number: int) -> str:
        making = draft(bucket)
        making.put("weights.bin", bytes([number]) * 100)
        return making.publish({}).digest

    with ThreadPoolExecutor(16) as pool:
        digests = set(pool.map(attempt, range(16)))
    artifact = Artifact.open(bucket, "runs/r/stage")
    assert digests == {artifact.manifest.digest}
    assert len(set(artifact.read("weights.bin"))) == 1


def test_a_part_that_another_attempt_cleared_away_meanwhile_is_published_again(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one, with the same part, has finished the whole and has no use for parts any more."""
    create = type(bucket).create

    def beaten(self: Bucket, key: str, data: bytes) -> bool:
        assert create(self, key, data)
        self.delete([key])
        monkeypatch.setattr(type(bucket), "create", create)
        return False

    monkeypatch.setattr(type(bucket), "create", beaten)
    making = draft(bucket)
    making.put("part.bin", b"part")
    assert making.publish({}) == Artifact.open(bucket, "runs/r/stage").manifest


def test_a_place_that_never_settles_ends_in_an_error(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(bucket), "create", lambda *_: False)
    with pytest.raises(BucketError, match="was there 10 times, and gone when read"):
        draft(bucket).publish({})


def test_another_configuration_is_refused_with_its_differences(bucket: Bucket) -> None:
    draft(bucket).publish({})
    with pytest.raises(ConfigError, match=r"size: 1 → 2\n.*input preprocess: \"d0\" → \"d1\""):
        draft(bucket, size=2, source="d1").publish({})


@pytest.mark.parametrize("damage", [b"other bytes", b"w0rds", b""])
def test_damaged_bytes_are_caught(bucket: Bucket, tmp_path: Path, damage: bytes) -> None:
    making = draft(bucket)
    making.put("words.txt", b"words")
    key = making.publish({}).objects["words.txt"].key
    bucket.write(f"runs/r/stage/{key}", damage)
    artifact = Artifact.open(bucket, "runs/r/stage")
    with pytest.raises(InputError, match=r"words.* is damaged"):
        artifact.read("words.txt")
    with pytest.raises(InputError, match=r"words.* is damaged"):
        artifact.fetch("words.txt", tmp_path)


def test_a_stale_local_copy_is_fetched_anew(bucket: Bucket, tmp_path: Path) -> None:
    making = draft(bucket)
    making.put("words.txt", b"words")
    making.publish({})
    (tmp_path / "words.txt").write_bytes(b"stale")
    assert Artifact.open(bucket, "runs/r/stage").fetch("words.txt", tmp_path).read_bytes() == b"words"


def test_digest_is_of_content_and_not_of_time(bucket: Bucket) -> None:
    digests = []
    for data in (b"same", b"same", b"other"):
        withdraw(bucket, "runs/r/stage")
        making = draft(bucket)
        making.put("a", data)
        digests.append(making.publish({}).digest)
    assert digests[0] == digests[1] != digests[2]


def test_withdrawing_leaves_nothing(bucket: Bucket) -> None:
    making = draft(bucket)
    making.put("a", b"1")
    making.publish({})
    bucket.write("runs/r/stage/checkpoints/x", b"2")
    bucket.write("runs/r/stage-two/x", b"3")
    withdraw(bucket, "runs/r/stage")
    assert [entry.key for entry in bucket.list()] == ["runs/r/stage-two/x"]


def test_plain_names_are_the_keys(bucket: Bucket) -> None:
    making = draft(bucket, plain_names=True)
    making.put("index.html", b"<html>")
    making.publish({})
    assert bucket.read("runs/r/stage/index.html") == b"<html>"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"format": "mura-jobs/0"}', b"\xff"])
def test_what_is_no_manifest_is_refused(bucket: Bucket, data: bytes) -> None:
    bucket.write("runs/r/stage/manifest.json", data)
    with pytest.raises(InputError, match=r"runs/r/stage/manifest.json is not a manifest"):
        read_manifest(bucket, "runs/r/stage")


def test_an_unknown_name_is_refused_with_the_known_ones(bucket: Bucket) -> None:
    making = draft(bucket)
    making.put("a.png", b"1")
    making.publish({})
    with pytest.raises(InputError, match=r"no b.png; it holds a.png"):
        Artifact.open(bucket, "runs/r/stage").read("b.png")


def test_bytes_that_changed_on_the_way_are_read_again(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: an error that is never retried is for bytes that lie there damaged."""
    made = draft(bucket)
    made.put("words.txt", b"words")
    made.publish({})
    artifact, kind = Artifact.open(bucket, "runs/r/stage"), type(bucket)
    read, download, changes = kind.read, kind.download, [True]
    monkeypatch.setattr(kind, "read", lambda *about: b"wards" if changes and changes.pop() else read(*about))
    assert artifact.read("words.txt") == b"words"
    changes.append(True)

    def download_changed(bucket: Bucket, key: str, path: Path) -> None:
        download(bucket, key, path)
        if changes and changes.pop():
            path.write_bytes(b"wards")

    monkeypatch.setattr(kind, "download", download_changed)
    assert artifact.fetch("words.txt", tmp_path).read_bytes() == b"words"
    assert not changes
