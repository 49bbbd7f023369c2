"""Every hostile pickle here does its harm when Python's own reader opens it, and none here."""

import builtins
import codecs
from collections import OrderedDict
import io
import operator
import os
from pathlib import Path
import pickle
import random
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
import torch

from mura_jobs.errors import InputError
from mura_jobs.gan.pretrained import pickles
from mura_jobs.gan.pretrained.pickles import Refused, unpickle
from mura_jobs.gan.pretrained.published import CONSTRUCTORS, INERT, MAX_MODULES, read_published
from tests.gan.pretrained.files import Layer, installed, published

SMALL = {"G_ema": {"mapping.w_avg": torch.ones(2)}}


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:  # noqa: ANN401 - pickle's protocol
        return self.call


def read(data: bytes) -> object:
    return unpickle(io.BytesIO(data), "x.pkl", CONSTRUCTORS, INERT)


HOSTILE = {
    "posix.system": (os.system, "touch harm"),
    "builtins.eval": (builtins.eval, "open('harm', 'w')"),
    "builtins.exec": (builtins.exec, "open('harm', 'w')"),
    "builtins.getattr": (getattr, OrderedDict, "__class__"),
    "builtins.setattr": (setattr, OrderedDict, "x", 1),
    "builtins.__import__": (__import__, "os"),
    "builtins.bytearray": (bytearray, 10),
    "_codecs.decode": (codecs.decode, "abc", "rot13"),
    "_codecs.encode": (codecs.encode, "abc", "latin1"),
    "operator.attrgetter": (operator.attrgetter, "a"),
    "subprocess.Popen": (subprocess.Popen, ["touch", "harm"]),
    "shutil.rmtree": (shutil.rmtree, "harm"),
    "_pickle.loads": (pickle.loads, b"N."),
    "torch.serialization.load": (torch.load, "harm"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_calls_are_refused_by_name_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps({"G_ema": Call(*HOSTILE[name])}, protocol)
    with pytest.raises(Refused, match=f"asks for {name}"):
        read_published(data, "x.pkl")
    assert not list(tmp_path.iterdir())


def test_the_same_file_does_harm_in_pythons_own_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Call(*HOSTILE["posix.system"])))  # noqa: S301 - that is the point
    assert (tmp_path / "harm").exists()


def test_a_storage_is_no_way_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as the storage's bytes nor as one of the pickles within them."""
    monkeypatch.chdir(tmp_path)
    nested = pickle.dumps(Call(*HOSTILE["posix.system"]))
    whole = torch_bytes(torch.ones(3))
    for inner in (nested, whole.replace(b"ctorch\nFloatStorage", b"cposix\nsystem"), whole[:24] + nested):
        assert inner != whole
        data = pickle.dumps(Call(torch.storage._load_from_bytes, inner))
        with pytest.raises(InputError):
            read(data)
    assert not list(tmp_path.iterdir())
    with pytest.raises(Refused, match=r"posix\.system"):
        read(pickle.dumps(Call(torch.storage._load_from_bytes, nested)))


def torch_bytes(tensor: torch.Tensor) -> bytes:
    file = io.BytesIO()
    storage = torch.storage.TypedStorage(  # type: ignore[no-untyped-call]  # torch has no types here
        wrap_storage=tensor.untyped_storage(), dtype=tensor.dtype, _internal=True
    )
    torch.save(storage, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


@pytest.mark.parametrize(
    ("what", "data"),
    {
        "torch._utils._rebuild_tensor_v2.__globals__": b"\x80\x04\x8c\x0ctorch._utils\x8c\x1e"
        b"_rebuild_tensor_v2.__globals__\x93.",
        "collections.OrderedDict.fromkeys": b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.",
        "calling a str": b"\x80\x04\x8c\x01a)R.",
        "calling a dict": b"\x80\x04})R.",
        "calling a list": b"\x80\x04])\x81.",
        "calling torch.float32": b"\x80\x03ctorch\nfloat32\n)R.",
        "a dict is to be changed as if it were a Opaque": b"\x80\x04}}b.",
        "a Token is to be changed as if it were a Opaque": b"\x80\x03ccollections\nOrderedDict\n}b.",
        "a tuple is to be changed as if it were a dict": b"\x80\x04)NNs.",
        "a tuple as a key": b"\x80\x04})Ns.",
        "a int as a key": b"\x80\x04}\x8a\x08\x01\x01\x01\x01\x01\x01\x01\x01Ns.",
        "opcode INST": b"(ios\nsystem\n.",
        "opcode OBJ": b"\x80\x02(ccollections\nOrderedDict\no.",
        "opcode EXT1": b"\x80\x02\x82\x01.",
        "opcode NEWOBJ_EX": b"\x80\x04\x8c\x01a)}\x92.",
        "opcode BINPERSID": b"\x80\x04NQ.",
        "opcode PERSID": b"Px\n.",
        "opcode LONG4": b"\x80\x04\x8b\x01\x00\x00\x00\x01.",
        "opcode BYTEARRAY8": b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00a.",
        "opcode DUP": b"\x80\x04N2.",
    }.items(),
)
def test_whatever_weights_do_not_need_is_refused_by_name(what: str, data: bytes) -> None:
    name = what if " " in what else f"asks for {what}"
    with pytest.raises(Refused, match=name.replace(".", r"\.")):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no pickle",
        b"\x80\x04",
        b"\x80\x04.",
        b"\x80\x04NN.",
        b"\x80\x04R.",
        b"\x80\x04h\x05.",
        b"\x80\x04e.",
        b"\x80\x04\x8c\x02\xff\xff.",
        b"\x80\x04N\x8c\x01a\x93.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fa.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7fa.",
        b"\x80\x04Nr\xff\xff\xff\x7f",
    ],
)
def test_damaged_bytes_are_an_unusable_input_and_allocate_nothing(data: bytes) -> None:
    with pytest.raises(InputError):
        read(data)


def test_a_number_of_steps_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MAX_OPCODES", 1000)
    with pytest.raises(Refused, match="more than 1000 steps"):
        read(b"\x80\x04" + 1000 * b"N\x85" + b".")
    with pytest.raises(Refused, match="more than 1000 steps"):
        read(b"\x80\x04" + 1001 * b"N" + b".")


def test_a_cascade_of_references_ends_at_the_number_of_layers() -> None:
    """Forty layers, each with the one below it twice, are 2^40 by name."""
    layer = Layer()
    for _ in range(40):
        above = Layer()
        above.add_module("a", layer)
        above.add_module("b", layer)
        layer = above
    with installed():
        data = pickle.dumps({"G_ema": layer})
    with pytest.raises(InputError, match=f"more than {MAX_MODULES} layers"):
        read_published(data, "x.pkl")


def storage_call(*view: object) -> bytes:
    """A tensor of three numbers, viewed as it is said."""
    storage = Call(torch.storage._load_from_bytes, torch_bytes(torch.arange(1.0, 4)))
    return pickle.dumps(Call(torch._utils._rebuild_tensor_v2, storage, *view, False, OrderedDict()))


def test_a_tensor_is_a_view_of_its_storage() -> None:
    found = read(storage_call(1, (2, 1), (1, 5)))
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, np.array([[2.0], [3.0]]))
    assert not found.flags.writeable


@pytest.mark.parametrize(
    "view",
    [
        (0, (10**9, 10**9), (0, 0)),
        (0, (4,), (1,)),
        (1, (3,), (1,)),
        (0, (2,), (3,)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (2**70,), (1,)),
        (0, (2,), (1, 1)),
        (0, (1,) * 9, (1,) * 9),
        ("0", (1,), (1,)),
        (0, [1], (1,)),
    ],
)
def test_a_tensor_never_reaches_beyond_its_storage(view: tuple[object, ...]) -> None:
    with pytest.raises(InputError, match="tensor"):
        read(storage_call(*view))


def test_published_files_of_any_protocol_are_read() -> None:
    for protocol in (3, 4, 5):
        assert (
            read_published(published(SMALL, protocol=protocol), "x.pkl")["G_ema"]["mapping.w_avg"].sum() == 2
        )


@pytest.mark.parametrize("value", [[], {}, {"G_ema": 1}, {"G_ema": {}}, {"G": None}])
def test_pickles_of_something_else_are_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"x\.pkl"):
        read_published(pickle.dumps(value), "x.pkl")


def test_a_file_with_random_errors_is_read_or_refused_and_nothing_else() -> None:
    """Bytes changed, lost, added or repeated: never another exception than the two that say so."""
    draw = random.Random(0)  # noqa: S311 - for tests
    whole = [published(SMALL, protocol=protocol) for protocol in (3, 4)]
    refused = 0
    for _ in range(3000):
        data = bytearray(draw.choice(whole))
        for _ in range(draw.choice((1, 1, 2, 4))):
            at, length = draw.randrange(len(data)), draw.randrange(1, 9)
            match draw.randrange(4):
                case 0:
                    data[at] = draw.randrange(256)
                case 1:
                    del data[at : at + length]
                case 2:
                    data[at:at] = draw.randbytes(length)
                case _:
                    begin = draw.randrange(len(data))
                    data[at:at] = data[begin : begin + 5 * length]
        try:
            read_published(bytes(data), "x.pkl")
        except InputError:
            refused += 1
    assert 2000 < refused < 3000
