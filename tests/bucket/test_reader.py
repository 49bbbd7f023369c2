"""Reading an object by ranges as if it were a file."""

from collections.abc import Callable
import io
from pathlib import Path
from typing import BinaryIO
import zipfile

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from mura_jobs.bucket.reader import BLOCK_BYTES, MAX_AHEAD, MAX_BLOCKS, RangedReader

BLOCKS = 3 * MAX_BLOCKS + MAX_AHEAD + 0.5
DATA = np.random.default_rng(0).bytes(int(BLOCKS * BLOCK_BYTES))

Step = tuple[str, int, int]
OFFSETS = st.one_of(
    st.integers(-100, 100),
    st.integers(-len(DATA), len(DATA) + 100),
    st.integers(-3, 3).map(lambda n: n * BLOCK_BYTES),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), OFFSETS, st.sampled_from([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END])),
        st.tuples(st.just("read"), st.integers(0, 3 * BLOCK_BYTES), st.just(0)),
        st.tuples(st.just("read"), st.integers(0, 100), st.just(0)),
        st.tuples(st.just("sequence"), st.integers(1, 40), st.just(0)),
    ),
    max_size=30,
)


def counted(data: bytes, requests: list[tuple[int, int]]) -> Callable[[int, int], bytes]:
    def fetch(start: int, length: int) -> bytes:
        assert length > 0
        assert start + length <= len(data)
        requests.append((start, length))
        return data[start : start + length]

    return fetch


def apply(file: BinaryIO, step: Step) -> object:
    name, number, whence = step
    if name == "seek":
        try:
            return file.seek(number, whence)
        except OSError as error:  # before the start
            return error.errno
    if name == "sequence":
        return [file.read(BLOCK_BYTES // 2) for _ in range(number)]
    return file.read(number)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of several sizes."""
    folder = tmp_path_factory.mktemp("files")
    found = [folder / str(size) for size in (0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, len(DATA))]
    for path in found:
        path.write_bytes(DATA[: int(path.name)])
    return found


@settings(deadline=None)
@given(STEPS, st.integers(0, 4))
def test_any_seeks_and_reads_equal_those_of_a_file(paths: list[Path], steps: list[Step], which: int) -> None:
    """And at no time are more blocks held than the limit."""
    data = DATA[: int(paths[which].name)]
    raw = RangedReader(counted(data, []), len(data))
    with io.BufferedReader(raw) as reader, paths[which].open("rb") as file:
        for step in steps:
            assert apply(reader, step) == apply(file, step)
            assert reader.tell() == file.tell()
            assert len(raw._blocks) <= MAX_BLOCKS


def test_reading_in_sequence_takes_few_requests_and_bounded_memory() -> None:
    """Each request twice as long as the one before, up to the limit, and no byte twice."""
    requests: list[tuple[int, int]] = []
    raw = RangedReader(counted(DATA, requests), len(DATA))
    with io.BufferedReader(raw) as file:
        while file.read(1000):
            assert len(raw._blocks) <= MAX_BLOCKS
    lengths = [length for _, length in requests]
    assert sum(lengths) == len(DATA)
    assert lengths[:6] == [BLOCK_BYTES * 2**i for i in range(6)]
    assert lengths[6:-1] == [MAX_AHEAD * BLOCK_BYTES] * (len(lengths) - 7)


def test_jumping_about_fetches_one_block_each() -> None:
    requests: list[tuple[int, int]] = []
    with io.BufferedReader(RangedReader(counted(DATA, requests), len(DATA))) as file:
        for block in range(100, 0, -2):
            file.seek(block * BLOCK_BYTES + 7)
            assert file.read(10) == DATA[block * BLOCK_BYTES + 7 : block * BLOCK_BYTES + 17]
    assert [length for _, length in requests] == [BLOCK_BYTES] * 50


def test_a_zip_costs_few_requests() -> None:
    """The directory at the end, then the members ahead of their turn: 2,000 members in 25 MB, 20 requests."""
    memory = io.BytesIO()
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(memory, "w") as archive:
        for i in range(2000):
            archive.writestr(f"MURA-v1.1/train/XR_SHOULDER/image{i}.png", rng.bytes(12_500))
    data = memory.getvalue()
    requests: list[tuple[int, int]] = []
    file = io.BufferedReader(RangedReader(counted(data, requests), len(data)))
    with file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
    assert len(requests) <= 20
    assert sum(length for _, length in requests) < 1.1 * len(data)


def test_it_is_read_only_and_refuses_to_seek_before_the_start() -> None:
    raw = RangedReader(counted(b"data", []), 4)
    assert raw.seekable()
    assert raw.readable()
    assert not raw.writable()
    with pytest.raises(OSError, match="seek to -1"):
        raw.seek(-5, io.SEEK_END)
    assert raw.seek(10) == 10
    assert raw.read() == b""
