"""What every kind of bucket must do: in a folder, and over the wire to a real S3 server."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
import hashlib
import io
import os
from pathlib import Path
import threading
import time
import zipfile

import numpy as np
import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket, BucketError, BucketMissing, InvalidKey, ObjectMissing
from mura_jobs.bucket.s3_parts import PART_BYTES
from tests.servers import SeaweedFS

ODD_KEYS = [
    "a b/c  d.png",
    "ünïcode/日本/é.txt",
    "100%/%41%2F+b.txt",
    "q?x=1&y#z",
    "~!@$^*()_-='\"<>|;:,[]{}`",
    "e\u0301 is not é",
    ".hidden/._image1.png",
    "x" * 255,
    "/".join(["deep"] * 100),
]
INVALID_KEYS = [
    *(
        "",
        "/",
        "/etc/passwd",
        "a//b",
        "a/",
        "./a",
        "a/./b",
        "..",
        "../a",
        "a/../../b",
        "a\\b",
        "a\0b",
        "a\nb",
    ),
    *("\ud800", "x" * 256, "/".join(["y" * 200] * 6)),
]


@pytest.fixture(params=["folder", "s3"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bucket(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    """An empty bucket, below a prefix that needs quoting."""
    if kind == "folder":
        folder = tmp_path / "my bucket %41"
        folder.mkdir()
        return open_bucket(folder.as_uri())
    server: SeaweedFS = request.getfixturevalue("s3_server")
    return open_bucket(f"{request.getfixturevalue('new_s3_prefix')()}/my prefix %41", server.endpoint)


@pytest.fixture
def missing_bucket(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Bucket:
    if kind == "folder":
        return open_bucket((tmp_path / "missing").as_uri())
    server: SeaweedFS = request.getfixturevalue("s3_server")
    return open_bucket("s3://missing-bucket/prefix", server.endpoint)


def keys(bucket: Bucket, prefix: str = "") -> list[str]:
    return [entry.key for entry in bucket.list(prefix)]


@pytest.mark.parametrize("data", [b"", b"bytes", bytes(range(256)) * 999])
def test_an_object_comes_back_as_it_was_written(bucket: Bucket, data: bytes) -> None:
    bucket.write("runs/a/run.json", b"what was there before")
    bucket.write("runs/a/run.json", data)
    assert bucket.read("runs/a/run.json") == data
    assert bucket.size("runs/a/run.json") == len(data)
    assert bucket.exists("runs/a/run.json")
    assert [entry[:2] for entry in bucket.list()] == [("runs/a/run.json", len(data))]
    with bucket.open("runs/a/run.json") as file:
        assert file.read() == data


def test_keys_with_spaces_unicode_and_percent_signs(bucket: Bucket, tmp_path: Path) -> None:
    """Each key names its own object in every operation, and listings give it back as it was."""
    for key in ODD_KEYS:
        bucket.write(key, key.encode())
    assert keys(bucket) == sorted(ODD_KEYS, key=str.encode)
    for key in ODD_KEYS:
        assert bucket.read(key) == key.encode()
        assert not bucket.create(key, b"other")
        assert [entry[:2] for entry in bucket.list(key)] == [(key, len(key.encode()))]
        bucket.download(key, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == key.encode()
    bucket.delete(ODD_KEYS)
    assert keys(bucket) == []


def test_keys_that_some_bucket_can_not_hold_are_refused_by_all(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    operations: list[Callable[[str], object]] = [
        bucket.read,
        bucket.size,
        bucket.exists,
        lambda key: bucket.write(key, b""),
        lambda key: bucket.create(key, b""),
        lambda key: bucket.upload(tmp_path / "file", key),
        lambda key: bucket.download(key, tmp_path / "copy"),
        lambda key: bucket.delete([key]),
        bucket.open,
    ]
    for key in INVALID_KEYS:
        for operation in operations:
            with pytest.raises(InvalidKey, match="can't be a key"):
                operation(key)
    assert keys(bucket) == []


def test_a_prefix_can_not_lead_out(bucket: Bucket) -> None:
    for prefix in ("../", "a/../..", "/", "a//b"):
        with pytest.raises(InvalidKey):
            list(bucket.list(prefix))


@pytest.mark.parametrize("key", ["none", "a", "a/b/c", "a/none"])
def test_a_missing_object_is_named(bucket: Bucket, key: str, tmp_path: Path) -> None:
    bucket.write("a/b", b"1")
    operations: list[Callable[[], object]] = [
        lambda: bucket.read(key),
        lambda: bucket.read(key, 0, 0),
        lambda: bucket.size(key),
        lambda: bucket.download(key, tmp_path / "sub" / "copy"),
        lambda: bucket.open(key),
        lambda: list(bucket.read_all([key])),
    ]
    for operation in operations:
        with pytest.raises(ObjectMissing) as caught:
            operation()
        assert key in str(caught.value)
        assert str(caught.value).startswith(bucket.url)
        assert isinstance(caught.value, KeyError)
    assert not bucket.exists(key)
    assert not (tmp_path / "sub").exists()
    bucket.delete([key, "a/b"])
    assert keys(bucket) == []


def test_ranges_are_those_of_a_slice(bucket: Bucket) -> None:
    """Beyond the end there are no bytes, and no error."""
    data = np.random.default_rng(0).bytes(1000)
    bucket.write("data", data)
    bucket.write("empty", b"")
    for start in (0, 1, 500, 999, 1000, 2000):
        for length in (None, 0, 1, 499, 500, 501, 5000):
            expected = data[start:] if length is None else data[start : start + length]
            assert bucket.read("data", start, length) == expected, (start, length)
            assert bucket.read("empty", start, length) == b""


def test_listing_is_complete_and_in_the_order_of_bytes(bucket: Bucket) -> None:
    """Over more than one page, around the slash ("a b" before "a/b"), and where a prefix ends in a name."""
    objects = {f"many/{i % 7}/image{i}.png": b"%d" % i for i in range(1105)}
    for name in ("a b/1", "a-b/1", "a.b/1", "a!", "a/b/1", "a0/1", "ä/1", "\uffee", "\U0001f9b4"):
        objects[f"order/{name}"] = b""
    bucket.write_all(objects.items())
    expected = sorted(objects, key=str.encode)
    assert [entry[:2] for entry in bucket.list()] == [(key, len(objects[key])) for key in expected]
    for prefix in ("many", "many/3/", "many/3/image1", "order/a", "order/a/", "none", "none/"):
        assert keys(bucket, prefix) == [key for key in expected if key.startswith(prefix)]
    bucket.delete(key for key in expected if key.startswith("many/"))
    assert keys(bucket) == [key for key in expected if key.startswith("order/")]


def test_an_objects_version_changes_with_its_bytes_alone(bucket: Bucket) -> None:
    bucket.write("a", b"1")
    bucket.write("b", b"1")
    first = {entry.key: entry.version for entry in bucket.list()}
    time.sleep(0.01)  # more than a file system's clock tells apart
    bucket.write("a", b"2")
    second = {entry.key: entry.version for entry in bucket.list()}
    assert first["a"] != second["a"]
    assert first["b"] == second["b"] != ""


def test_read_all_yields_in_order_and_reads_ahead_with_bounds(bucket: Bucket) -> None:
    wanted = [f"image{i}" for i in np.random.default_rng(0).permutation(300)]
    bucket.write_all((key, key.encode() * 100) for key in wanted)
    taken = 0

    def counted() -> Iterator[str]:
        nonlocal taken
        for key in wanted:
            taken += 1
            yield key

    results = bucket.read_all(counted())
    for i, key in enumerate(wanted):
        assert next(results) == (key, key.encode() * 100)
        assert taken <= i + 2 * bucket.workers
    assert next(results, None) is None


def test_write_all_reports_the_first_failure(bucket: Bucket) -> None:
    with pytest.raises(InvalidKey, match=r"bad/\.\./key"):
        bucket.write_all([("good", b"1"), ("bad/../key", b"2"), *((f"more{i}", b"3") for i in range(500))])
    assert len(keys(bucket)) < 500


def test_of_16_racing_creators_one_wins(bucket: Bucket) -> None:
    """And what it wrote stays."""
    for race in range(3):
        barrier = threading.Barrier(16)

        def create(i: int, race: int = race, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            return bucket.create(f"manifest{race}.json", b"%d" % i)

        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(create, range(16)))
        assert won.count(True) == 1
        assert bucket.read(f"manifest{race}.json") == b"%d" % won.index(True)


def test_create_after_delete(bucket: Bucket) -> None:
    assert bucket.create("manifest.json", b"1")
    assert not bucket.create("manifest.json", b"1")
    bucket.delete(["manifest.json"])
    assert bucket.create("manifest.json", b"2")
    assert bucket.read("manifest.json") == b"2"


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 12345])
def test_files_of_any_size_travel_whole(bucket: Bucket, size: int, tmp_path: Path) -> None:
    """In one piece, or in parts whose seams are read across; nothing else is left in either place."""
    data = np.random.default_rng(size).bytes(size)
    source, target = tmp_path / "source", tmp_path / "new" / "folder" / "target"
    source.write_bytes(data)
    bucket.upload(source, "large/file.npy")
    assert [entry[:2] for entry in bucket.list()] == [("large/file.npy", size)]
    bucket.download("large/file.npy", target)
    bucket.download("large/file.npy", target)
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(data).digest()
    assert list(target.parent.iterdir()) == [target]
    assert bucket.read("large/file.npy", PART_BYTES - 5, 10) == data[PART_BYTES - 5 : PART_BYTES + 5]
    bucket.write("large/file.npy", data[::-1])
    assert bucket.read("large/file.npy") == data[::-1]


def test_a_downloaded_file_replaces_the_old_one_at_once(bucket: Bucket, tmp_path: Path) -> None:
    """Whoever has the old file open reads on in it."""
    target = tmp_path / "target"
    target.write_bytes(b"old")
    bucket.write("key", b"new")
    with target.open("rb") as old:
        bucket.download("key", target)
        assert old.read() == b"old"
    assert target.read_bytes() == b"new"


def test_readers_see_the_old_or_the_new_object(bucket: Bucket, tmp_path: Path) -> None:
    """Whichever way they read while it is overwritten, also in parts: whole, or an error, never a mixture."""
    small, large = 300_000, PART_BYTES + 300_000
    bucket.write("small", b"a" * small)
    bucket.write("large", b"a" * large)
    writing = threading.Event()
    writing.set()

    def write(key: str, size: int) -> None:
        for letter in b"bcdefgh":
            bucket.write(key, bytes([letter]) * size)

    def read(i: int) -> int:
        seen = 0
        while writing.is_set():
            data = bucket.read("small")
            assert data == data[:1] * small
            try:
                bucket.download("large", tmp_path / f"{i}")
                with bucket.open("large") as file:
                    ends = file.read(10)
                    file.seek(-10, os.SEEK_END)
                    ends += file.read()
            except BucketError as error:
                if "overwritten" not in str(error):
                    raise
            else:
                data = (tmp_path / f"{i}").read_bytes()
                assert data == data[:1] * large
                assert ends == ends[:1] * 20
            seen += 1
        return seen

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, i) for i in range(2)]
        writers = [pool.submit(write, "small", small), pool.submit(write, "large", large)]
        try:
            for writer in writers:
                writer.result()
        finally:
            writing.clear()
        assert min(reader.result() for reader in readers) > 0


def test_a_zip_is_read_where_it_lies(bucket: Bucket) -> None:
    rng = np.random.default_rng(0)
    members = {f"MURA-v1.1/train/image{i}.png": rng.bytes(int(rng.integers(50_000))) for i in range(100)}
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    bucket.write("raw/MURA-v1.1.zip", memory.getvalue())
    with bucket.open("raw/MURA-v1.1.zip") as file, zipfile.ZipFile(file) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == members


def test_a_missing_bucket_is_not_made(missing_bucket: Bucket, tmp_path: Path) -> None:
    bucket = missing_bucket
    (tmp_path / "file").write_bytes(b"1" * (PART_BYTES + 1))
    operations: list[Callable[[], object]] = [
        lambda: list(bucket.list()),
        lambda: bucket.read("key"),
        lambda: bucket.size("key"),
        lambda: bucket.exists("key"),
        lambda: bucket.write("key", b""),
        lambda: bucket.create("key", b""),
        lambda: bucket.upload(tmp_path / "file", "key"),
        lambda: bucket.download("key", tmp_path / "copy"),
        lambda: bucket.delete(["key"]),
        lambda: bucket.open("key"),
        bucket.check,
    ]
    for operation in operations:
        with pytest.raises(BucketMissing, match="does not exist; create it") as caught:
            operation()
        assert bucket.url in str(caught.value)
        assert caught.value.exit_code == 64
    assert not (tmp_path / "copy").exists()


def test_check_passes_and_leaves_nothing(bucket: Bucket) -> None:
    bucket.check()
    assert keys(bucket) == []


def test_a_file_that_can_not_be_written_is_named(bucket: Bucket, tmp_path: Path) -> None:
    bucket.write("key", b"1")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BucketError, match=r"file/copy: can't be written: File exists"):
        bucket.download("key", tmp_path / "file" / "copy")
