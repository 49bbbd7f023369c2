from collections import Counter
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
import zipfile

import pytest

from mura_jobs.bucket.base import Bucket, BucketError
from mura_jobs.bucket.local import LocalBucket
from mura_jobs.errors import InputError
from mura_jobs.radiographs import files
from mura_jobs.radiographs.decode import Unreadable
from mura_jobs.radiographs.files import Folder, Zip
from tests.radiographs.trees import mura_tree, put, zipped


def test_a_zip_and_its_folder_hold_the_same(bucket: Bucket) -> None:
    tree = mura_tree(6)
    put(bucket, "raw/tree", tree)
    bucket.write("raw/tree.zip", zipped(tree))
    folder = Folder(bucket, "raw/tree")
    with Zip(bucket, "raw/tree.zip") as archive:
        assert folder.sizes == archive.sizes
        assert dict(folder.read_all(tree)) == dict(archive.read_all(tree)) == tree
        assert list(archive.sizes) == sorted(tree)


def test_a_folder_next_to_another_of_a_longer_name_is_not_mixed_up(bucket: Bucket) -> None:
    put(bucket, "raw/a", {"x": b"1"})
    put(bucket, "raw/ab", {"y": b"2"})
    assert dict(Folder(bucket, "raw/a").sizes) == {"x": 1}


@pytest.mark.parametrize("path", ["../evil.png", "/etc/passwd", "a/../../b", "C:/x.png", "a\\..\\b.png"])
def test_paths_that_lead_out_are_refused(bucket: Bucket, path: str) -> None:
    bucket.write("raw/a.zip", zipped({"good.png": b"1", path: b"2"}))
    with pytest.raises(InputError, match="leads out"):
        Zip(bucket, "raw/a.zip")


def test_a_bomb_is_refused_before_it_is_unpacked(bucket: Bucket) -> None:
    bucket.write("raw/a.zip", zipped({"image1.png": bytes(300 << 20)}))
    with pytest.raises(InputError, match=r"image1\.png.*314,572,800 bytes"):
        Zip(bucket, "raw/a.zip")


def test_a_small_bomb_is_refused_too(bucket: Bucket) -> None:
    bucket.write("raw/a.zip", zipped({"image1.png": bytes(20 << 20)}))
    with pytest.raises(InputError, match="bomb"):
        Zip(bucket, "raw/a.zip")


def test_a_link_is_refused(bucket: Bucket) -> None:
    data = BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        link = zipfile.ZipInfo("image1.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    bucket.write("raw/a.zip", data.getvalue())
    with pytest.raises(InputError, match="symbolic link"):
        Zip(bucket, "raw/a.zip")


@pytest.mark.parametrize("cut", [slice(0, 100), slice(0, 0)])
def test_half_a_zip_is_refused(bucket: Bucket, cut: slice) -> None:
    bucket.write("raw/a.zip", zipped(mura_tree(3))[cut])
    with pytest.raises(InputError, match="not a readable zip"):
        Zip(bucket, "raw/a.zip")


def test_a_damaged_member_is_named_and_the_others_are_read(bucket: Bucket) -> None:
    data = bytearray(zipped({"a/1.png": bytes(range(256)) * 4, "a/2.png": b"good"}, zipfile.ZIP_STORED))
    data[200] ^= 1
    bucket.write("raw/a.zip", bytes(data))
    with Zip(bucket, "raw/a.zip") as archive:
        found = dict(archive.read_all(["a/1.png", "a/2.png"]))
        assert isinstance(found["a/1.png"], Unreadable)
        assert "damaged in the zip" in str(found["a/1.png"])
        assert found["a/2.png"] == b"good"
        with pytest.raises(InputError, match=r"a/1\.png: damaged in the zip"):
            archive.read("a/1.png")


class Flipping(LocalBucket):
    """A bucket of which the bytes at some places arrive changed when a file is opened for the nth time."""

    def __init__(self, folder: Path, flips: dict[int, range]) -> None:
        super().__init__(folder)
        self._flips, self._opened = flips, 0

    def open(self, key: str) -> BinaryIO:
        """The object as it arrives this time."""
        with super().open(key) as file:
            data = bytearray(file.read())
        for place in self._flips.get(self._opened, ()):
            data[place] ^= 1
        self._opened += 1
        return BytesIO(data)


@pytest.mark.parametrize("flips", [{0: range(200, 201)}, {1: range(200, 201)}, {}])
def test_a_member_changed_on_the_way_is_read_again(tmp_path: Path, flips: dict[int, range]) -> None:
    """Whichever of the two times that the zip is opened."""
    content = {"a/1.png": bytes(range(256)) * 4, "a/2.png": b"good"}
    bucket = Flipping(tmp_path, flips)
    bucket.write("raw/a.zip", zipped(content, zipfile.ZIP_STORED))
    with Zip(bucket, "raw/a.zip") as archive:
        assert dict(archive.read_all(content)) == content


@pytest.mark.parametrize("opening", [0, 1])
def test_a_directory_changed_on_the_way_is_none(tmp_path: Path, opening: int) -> None:
    """Whichever byte of it: a name, a size or a checksum would else be taken for the data's own."""
    data = zipped({"a/1.png": b"first", "a/2.png": b"second"}, zipfile.ZIP_STORED)
    start, outcomes = data.index(b"PK\x01\x02"), Counter[str]()
    for place in range(start, len(data)):
        bucket = Flipping(tmp_path, {opening: range(place, place + 1)})
        bucket.write("raw/a.zip", data)
        try:
            with Zip(bucket, "raw/a.zip") as archive:
                found = dict(archive.read_all(archive.sizes))
        except BucketError:
            outcomes["refused"] += 1
        else:
            assert found == {"a/1.png": b"first", "a/2.png": b"second"}
            outcomes["of no consequence"] += 1
    assert outcomes["refused"] > outcomes["of no consequence"] > 0


def test_a_file_too_large_is_named_and_not_read(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    put(bucket, "raw/a", {"1.png": b"12", "2.png": b"1" * 11, "3.png": b"3"})
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 10)
    monkeypatch.setattr(files, "AHEAD_BYTES", 10)
    folder = Folder(bucket, "raw/a")
    found = dict(folder.read_all(folder.sizes))
    assert (found["1.png"], found["3.png"]) == (b"12", b"3")
    assert str(found["2.png"]) == "11 bytes; a radiograph has at most 10"


def test_files_are_read_ahead_in_batches_of_bounded_size(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file comes in order, and none is asked for while more than the bound is held."""
    put(bucket, "raw/a", {f"{number}.png": bytes(number) for number in range(1, 10)})
    monkeypatch.setattr(files, "AHEAD_BYTES", 12)
    folder = Folder(bucket, "raw/a")
    batches: list[int] = []
    read_all = bucket.read_all

    def counted(keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        wanted = list(keys)
        batches.append(sum(folder.sizes[key.removeprefix("raw/a/")] for key in wanted))
        return read_all(wanted)

    monkeypatch.setattr(bucket, "read_all", counted)
    assert [path for path, _ in folder.read_all(folder.sizes)] == list(folder.sizes)
    assert max(batches) <= 12
    assert len(batches) < 9


def test_what_is_not_there_is_named(bucket: Bucket) -> None:
    with pytest.raises(InputError, match="raw/none: nothing lies there"):
        Folder(bucket, "raw/none")
    with pytest.raises(InputError, match=r"raw/none\.zip: there is no such zip"):
        Zip(bucket, "raw/none.zip")
