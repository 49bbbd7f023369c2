"""Hostile archives and weights: zip, pickle, safetensors, npy, parquet."""

from collections.abc import Callable
import io
import json
import math
from pathlib import Path
import pickle
import struct
import zipfile

from hypothesis import strategies as st
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from mura_jobs.bucket.local import LocalBucket
from mura_jobs.errors import InputError
from mura_jobs.features.pinned import parse_tensors
from mura_jobs.gan.config import InitialConfig
from mura_jobs.gan.pretrained.published import read_published
from mura_jobs.gan.pretrained.source import read_source
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.radiographs.files import Zip
from mura_jobs.radiographs.packed import Packed, npy_bytes, parquet_bytes, write_packed
from tests.faults.hostile import MANY, bounded_memory, survive
from tests.gan.pretrained.files import Lists, published
from tests.radiographs.trees import zipped


@pytest.fixture
def bucket(tmp_path: Path) -> LocalBucket:
    (tmp_path / "bucket").mkdir()
    return LocalBucket(tmp_path / "bucket")


FILES = {"MURA/train/é.png": b"abc" * 50, "MURA/valid/b.png": bytes(100), "c.csv": b"1,2\n"}


def read_zip(bucket: LocalBucket, data: bytes) -> dict[str, object]:
    (bucket.folder / "a.zip").write_bytes(data)
    with Zip(bucket, "a.zip") as files:
        return dict(files.read_all(files.sizes))


@pytest.mark.parametrize("cases", MANY)
def test_zips(cases: int, bucket: LocalBucket) -> None:
    """Directory and members, in every method that Python can read."""
    valid = [zipped(FILES, method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)]
    valid.append(zipped(FILES, zipfile.ZIP_BZIP2))
    survive(lambda data: read_zip(bucket, data), valid, cases)


def member(name: str, data: bytes = b"x", **values: int) -> bytes:
    """A zip of one member whose record says anything."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("placeholder", data)
        archive.filelist[0].filename = name
        for field, value in values.items():
            setattr(archive.filelist[0], field, value)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: member("../../etc/cron.d/x"), "leads out"),
        (lambda: member("/etc/passwd"), "leads out"),
        (lambda: member("a/../../x"), "leads out"),
        (lambda: member("C:/x"), "leads out"),
        (lambda: member("..\\x"), "leads out"),
        (lambda: member(""), "a name that no data set has"),
        (lambda: member("link", b"/etc/passwd", external_attr=0o120777 << 16), "symbolic link"),
        (lambda: member("bomb", bytes(100 << 20)), "bomb"),
        (lambda: member("large", b"x", file_size=1 << 40), "bytes"),
        (lambda: member("secret", flag_bits=1), "encrypted"),
        (lambda: zipped({f"{n}": b"" for n in range(70_000)})[:-1000], "not a readable zip"),
    ],
    ids=["up", "root", "up below", "drive", "backslash", "none", "link", "bomb", "large", "encrypted", "cut"],
)
def test_zips_that_break_out_or_blow_up(data: Callable[[], bytes], reason: str, bucket: LocalBucket) -> None:
    content = data()
    with bounded_memory(200 << 20), pytest.raises(InputError, match=reason):
        read_zip(bucket, content)


def test_a_member_that_says_less_than_it_holds_is_cut_or_refused(bucket: LocalBucket) -> None:
    """Its directory says 10 bytes; 100 MB are packed."""
    with bounded_memory(50 << 20):
        found = read_zip(bucket, member("lie", bytes(100 << 20), file_size=10))
    assert isinstance(found["lie"], Exception)


NETWORK = {
    "mapping.w_avg": torch.zeros(8),
    "synthesis.b4.conv1.weight": torch.ones(2, 2, 3, 3),
    "synthesis.b4.torgb.bias": torch.ones(3),
}


@pytest.mark.parametrize("cases", MANY)
def test_pickles(cases: int) -> None:
    valid = [published({"G_ema": NETWORK, "D": {}}), published({"G_ema": NETWORK}, Lists)]
    survive(lambda data: read_published(data, "file"), valid, cases)


class Runs:
    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("function", [Path.touch, eval, __import__, getattr, pickle.loads, io.open], ids=str)
def test_a_pickle_that_runs_code_runs_none(
    function: Callable[..., object], protocol: int, tmp_path: Path
) -> None:
    """Whatever it calls; and torch.load's own format of weights runs none either."""
    touched = tmp_path / "touched"
    arguments: tuple[object, ...] = {
        Path.touch: (touched,),
        eval: (f"open({str(touched)!r}, 'w')",),
        io.open: (str(touched), "w"),
    }.get(function, ("os",))
    data = pickle.dumps({"G_ema": Runs(function, *arguments)}, protocol)
    for read in (
        lambda: read_published(data, "file"),
        lambda: parse_tensors("field", "file.pth", data),
    ):
        with pytest.raises(InputError):
            read()
    assert not touched.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04" + b"(" * 5_000_000,
        b"\x80\x04" + b"]\x94" + b"h\x00" * 3_000_000 + b".",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x",
        b"\x80\x04\x8d" + struct.pack("<Q", (1 << 64) - 1) + b"x",
        b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1),
        b"\x80\x04]\x94(h\x00h\x00e.",
    ],
    ids=["marks", "copies", "long bytes", "long text", "long number", "itself"],
)
def test_pickle_bombs(data: bytes) -> None:
    with bounded_memory(), pytest.raises(InputError):
        read_published(data, "file")


TENSORS = safetensors.torch.save(NETWORK)


def read_weights(bucket: LocalBucket, data: bytes) -> object:
    from hashlib import sha256

    (bucket.folder / "w.safetensors").write_bytes(data)
    return read_source(InitialConfig(weights="w.safetensors", sha256=sha256(data).hexdigest()), bucket)


@pytest.mark.parametrize("cases", MANY)
def test_safetensors(cases: int, bucket: LocalBucket) -> None:
    """As initial weights of a generator, and as those of a network for features."""

    def parse(data: bytes) -> None:
        parse_tensors("field", "file.safetensors", data)
        read_weights(bucket, data)

    header = json.loads(TENSORS[8 : 8 + int.from_bytes(TENSORS[:8], "little")])
    words = st.sampled_from([*header, "dtype", "shape", "data_offsets", "F32", "__metadata__"]) | st.text(
        max_size=3
    )
    leaves = words | st.integers(-(2**70), 2**70) | st.none() | st.floats()
    values = st.recursive(leaves, lambda v: st.lists(v, max_size=4) | st.dictionaries(words, v, max_size=4))
    headers = st.dictionaries(words, values, max_size=4).map(lambda found: json.dumps(found).encode())
    files = headers.map(lambda text: struct.pack("<Q", len(text)) + text + bytes(64))
    survive(parse, [TENSORS], cases, files)


@pytest.mark.parametrize("size", [1 << 60, (1 << 64) - 1, 100 << 20])
def test_a_safetensors_header_of_any_size(size: int, bucket: LocalBucket) -> None:
    data = struct.pack("<Q", size) + TENSORS[8:]
    with bounded_memory(50 << 20), pytest.raises(InputError):
        parse_tensors("field", "w.safetensors", data)
    with bounded_memory(50 << 20), pytest.raises(InputError):
        read_weights(bucket, data)


INDEX = pd.DataFrame(
    {
        "key": ["a", "b", "c"],
        "patient": ["p", "p", "q"],
        "study": ["p/1", "p/1", "q/1"],
        "body_part": "XR_HAND",
        "label": ["positive", "positive", "negative"],
        "split": ["train", "train", "test"],
    }
)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8), np.uint8)


def load_packed(bucket: LocalBucket, folder: Path, **changed: bytes) -> Packed:
    """A packed data set, some of whose objects were replaced before it was published."""
    (folder / "copy").mkdir(exist_ok=True)
    for path in (folder / "copy").iterdir():
        path.unlink()
    for path in (bucket.folder / "set").glob("*"):
        path.unlink()
    draft = Draft(bucket, "set", stage="preprocess", config={}, inputs={})
    write_packed(draft, INDEX, iter(IMAGES), shard_images=10, folder=folder)
    names = {"index": "index.parquet", "images": "images-00000-of-00001.npy"}
    for name, data in changed.items():
        draft.put(names[name], data)
    draft.publish({})
    loaded = Packed.load(Artifact.open(bucket, "set"), folder / "copy")
    loaded.images()
    loaded.where(split="train", label="positive").images()
    return loaded


@pytest.mark.parametrize("cases", MANY)
def test_shards(cases: int, bucket: LocalBucket, tmp_path: Path) -> None:
    survive(lambda data: load_packed(bucket, tmp_path, images=data), [npy_bytes(IMAGES)], cases)


@pytest.mark.parametrize("cases", MANY)
def test_indexes(cases: int, bucket: LocalBucket, tmp_path: Path) -> None:
    valid = parquet_bytes(INDEX.assign(shard=0, row=np.arange(3)))
    survive(lambda data: load_packed(bucket, tmp_path, index=data), [valid], cases)


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize(
    "data",
    [
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776, 1024, 1024)}"),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 8, 8)}", bytes(64)),
        npy(
            "{'descr': '|O', 'fortran_order': False, 'shape': (3, 8, 8)}",
            pickle.dumps([Runs(Path.touch, Path("x"))]),
        ),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 8, 8)}", bytes(100)),
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 8, 8)}", bytes(3 * 8 * 8 * 8)),
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 8, 8)}" + "#" * 60_000, bytes(192)),
        npy("(" * 20_000),
        npy("__import__('os').system('touch x')"),
    ],
    ids=["huge", "negative", "objects", "short", "floats", "long", "deep", "code"],
)
def test_hostile_shards(data: bytes, bucket: LocalBucket, tmp_path: Path) -> None:
    with bounded_memory(100 << 20), pytest.raises(InputError):
        load_packed(bucket, tmp_path, images=data)


@pytest.mark.parametrize(
    "table",
    [
        INDEX.assign(shard=0, row=[0, 1, 3]),
        INDEX.assign(shard=[0, 0, -1], row=[0, 1, 2]),
        INDEX.assign(shard=[0, 0, 7], row=[0, 1, 2]),
        INDEX.assign(shard="0", row=["0", "1", "2"]),
        INDEX.assign(shard=0.5, row=1e300),
        INDEX.assign(shard=0, row=[0, 1, math.nan]),
        INDEX.assign(shard=0, row=[0, 1, 2]).drop(columns="key"),
        INDEX.assign(shard=0, row=[0, 1, 2], split="elsewhere"),
        INDEX.assign(shard=0, row=[0, 1, 2], label=None),
        INDEX.assign(shard=0, row=[0, 1, 2], key="a"),
    ],
    ids=["row", "negative", "shard", "text", "floats", "none", "column", "split", "label", "keys"],
)
def test_indexes_that_do_not_fit_their_images(
    table: pd.DataFrame, bucket: LocalBucket, tmp_path: Path
) -> None:
    """No picture is taken for another, and none is left blank."""
    with pytest.raises(InputError):
        load_packed(bucket, tmp_path, index=parquet_bytes(table))
