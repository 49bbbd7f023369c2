"""Input that nobody would write on purpose: valid files with damage, by the thousand."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
import resource

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
import pytest

from mura_jobs.errors import MuraError

MANY = [pytest.param(200, id="few"), pytest.param(10_000, id="many", marks=pytest.mark.faults)]
"""How many cases: few with every change, many in `make faults`."""

AT_ONCE = 200
"""Cases of one search: it keeps what it drew, and a thousand files of some MB are too many."""

MAX_GROWTH = 1 << 30
"""Bytes that a process may grow by while it reads hostile files of some KB: a bomb takes more."""

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 60), (1 << 64) - 1)
"""Where counts and sizes go wrong."""


@st.composite
def damaged(draw: st.DrawFn, valid: Sequence[bytes], most: int = 5) -> bytes:
    """One of several valid files with some damage: flips, cuts, doublings, splices, wild numbers."""
    data = bytearray(draw(st.sampled_from(valid)))
    for kind in draw(st.lists(st.sampled_from(sorted(_DAMAGES)), min_size=1, max_size=most)):
        _DAMAGES[kind](draw, data, valid)
    return bytes(data)


def _place(draw: st.DrawFn, data: bytes | bytearray) -> int:
    return draw(st.integers(0, len(data)))


def _span(draw: st.DrawFn, data: bytes | bytearray) -> slice:
    start = _place(draw, data)
    return slice(start, start + draw(st.integers(0, 64)))


def _flip(draw: st.DrawFn, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[_place(draw, data) % len(data)] ^= 1 << draw(st.integers(0, 7))


def _truncate(draw: st.DrawFn, data: bytearray, _: Sequence[bytes]) -> None:
    del data[_place(draw, data) :]


def _remove(draw: st.DrawFn, data: bytearray, _: Sequence[bytes]) -> None:
    del data[_span(draw, data)]


def _double(draw: st.DrawFn, data: bytearray, _: Sequence[bytes]) -> None:
    span = _span(draw, data)
    data[span.start : span.start] = data[span] * draw(st.integers(1, 3))


def _insert(draw: st.DrawFn, data: bytearray, _: Sequence[bytes]) -> None:
    at = _place(draw, data)
    data[at:at] = draw(st.binary(max_size=8))


def _splice(draw: st.DrawFn, data: bytearray, valid: Sequence[bytes]) -> None:
    other = draw(st.sampled_from(valid))
    data[_span(draw, data)] = other[_span(draw, other)]


def _number(draw: st.DrawFn, data: bytearray, _: Sequence[bytes]) -> None:
    width, order = draw(st.sampled_from((1, 2, 4, 8))), draw(st.sampled_from(("little", "big")))
    at, value = _place(draw, data), draw(st.sampled_from(NUMBERS)) % (1 << 8 * width)
    data[at : at + width] = value.to_bytes(width, order)  # type: ignore[arg-type] # one of the two


def _digits(draw: st.DrawFn, data: bytearray, _: Sequence[bytes]) -> None:
    words = (b"-1", b"1e999", b"NaN", b"null", b"9" * 30, b"'", b'"', b"{", b"[", b"\r", b"\0", b"\xff\xfe")
    data[_span(draw, data)] = draw(st.sampled_from(words))


_DAMAGES: dict[str, Callable[[st.DrawFn, bytearray, Sequence[bytes]], None]] = {
    "flip": _flip,
    "truncate": _truncate,
    "remove": _remove,
    "double": _double,
    "insert": _insert,
    "splice": _splice,
    "number": _number,
    "digits": _digits,
}


def survive(
    parse: Callable[[bytes], object],
    valid: Sequence[bytes],
    cases: int,
    *others: st.SearchStrategy[bytes],
    least: float = 0.05,
) -> None:
    """Parse damaged files: each is read, or refused by an error of ours that says something.

    At least a share of `least` must be refused, or the damage is none. The valid ones are read as they are,
    or the damaged would show nothing. Memory stays bounded; what hangs is ended by the test's time limit.
    """
    for data in valid:
        parse(data)
    outcomes = Counter[str]()
    inputs = st.one_of(damaged(valid), damaged(valid, most=1), st.binary(max_size=100), *others)

    @settings(
        max_examples=min(cases, AT_ONCE),
        deadline=None,
        database=None,
        derandomize=cases <= AT_ONCE,  # or every search would draw the same
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def one(data: bytes) -> None:
        try:
            parse(data)
        except MuraError as error:
            outcomes["refused" if str(error).strip() else "silent"] += 1

    for _ in range(0, cases, AT_ONCE):
        with bounded_memory():
            one()
    assert outcomes["refused"] >= least * cases
    assert not outcomes["silent"]


@contextmanager
def bounded_memory(growth: int = MAX_GROWTH) -> Iterator[None]:
    """Fail if the process's peak memory grows by more than `growth` bytes meanwhile (on Linux).

    The system refuses it far more, so that a bomb ends the test and not the machine.
    """
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        yield
        return
    reset.write_text("5")  # begins a new peak
    before, limits = _memory("VmHWM"), resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_memory("VmData") + 2 * growth + (1 << 30), limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
    assert _memory("VmHWM") - before < growth


def _memory(what: str) -> int:
    return int(Path("/proc/self/status").read_text().partition(f"{what}:")[2].split()[0]) * 1024
