"""A reader of pickles that builds plain values and calls nothing that a pickle names.

A pickle is a program. This reader steps through it by the standard library's table of opcodes, keeps names of
classes and functions as inert tokens, and knows a fixed table of what a token may make. Nothing is imported
and no attribute is looked up or set. Every other name, and every opcode that the files we read do without, is
refused by name.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
import pickletools
from typing import Any

from mura_jobs.errors import InputError

MAX_OPCODES = 4_000_000
"""Steps that a pickle may take; published networks take some 100,000."""

KEY_BITS = 32
"""Integers as keys may have so many bits: larger ones can be made to collide."""

Constructor = Callable[..., object]


@dataclass(frozen=True)
class Token:
    """The name of a class or function, never the thing itself."""

    name: str


class Opaque:
    """Stands for a value that nobody reads, such as a numpy scalar; its state is dropped."""

    def __init__(self, *_: object) -> None:
        pass


class Refused(InputError):
    """The pickle asks for something that a file of weights has no need of."""


def unpickle(
    file: BytesIO,
    where: str,
    constructors: Mapping[str, Constructor],
    inert: frozenset[str] = frozenset(),
    persistent: Callable[[object], object] | None = None,
) -> object:
    """Read the pickle that begins at the file's position; the position is then its end.

    Args:
        file: the bytes.
        where: what they are, for messages.
        constructors: what may be made, by the full name that the pickle gives: stand-ins of our own.
        inert: names that may occur, but not be called.
        persistent: makes a value of a persistent id; without it they are refused.

    Raises:
        Refused: naming the global or opcode that is not allowed.
        InputError: the bytes are no pickle, or ask for the impossible.
    """
    return _Machine(where, constructors, inert, persistent).run(file)


class _Machine:
    """The stack, the memo and what each opcode does to them."""

    def __init__(
        self,
        where: str,
        constructors: Mapping[str, Constructor],
        inert: frozenset[str],
        persistent: Callable[[object], object] | None,
    ) -> None:
        self.where = where
        self.constructors = constructors
        self.inert = inert
        self.persistent = persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, object] = {}

    def run(self, file: BytesIO) -> object:
        """Step through to STOP."""
        try:
            for count, (name, argument) in enumerate(_steps(file, self.where)):
                if count >= MAX_OPCODES:
                    raise Refused(f"{self.where}: more than {MAX_OPCODES} steps; a file of weights has fewer")
                if name == "STOP":
                    break
                self.step(name, argument)
            (value,) = self.stack
        except InputError:
            raise
        except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
            detail = f"{type(error).__name__}: {error}"
            raise InputError(f"{self.where} is damaged, or no pickle of weights: {detail}") from None
        return value

    def step(self, name: str, argument: Any) -> None:  # noqa: ANN401, C901, PLR0912, PLR0915 - one case an opcode
        """Do what one opcode says."""
        stack, push = self.stack, self.stack.append
        match name:
            case "PROTO" | "FRAME":
                pass
            case "NONE":
                push(None)
            case "NEWTRUE" | "NEWFALSE":
                push(name == "NEWTRUE")
            case _ if name in _LITERALS:
                push(argument)
            case "EMPTY_DICT":
                push({})
            case "EMPTY_LIST":
                push([])
            case "EMPTY_SET":
                push(set())
            case "EMPTY_TUPLE":
                push(())
            case "MARK":
                self.below.append(stack)
                self.stack = []
            case "TUPLE":
                items = self.since_mark()
                self.stack.append(tuple(items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple([stack.pop() for _ in range(int(name[-1]))][::-1]))
            case "APPEND":
                item = stack.pop()
                self.top(list).append(item)
            case "APPENDS":
                items = self.since_mark()
                self.top(list).extend(items)
            case "ADDITEMS":
                items = self.since_mark()
                self.top(set).update(self.key(item) for item in items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                self.top(dict)[self.key(key)] = value
            case "SETITEMS":
                items = self.since_mark()
                keys = (self.key(key) for key in items[::2])
                self.top(dict).update(zip(keys, items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                push(self.memo[argument])
            case "GLOBAL":
                push(self.token(argument))
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                push(self.token(f"{_text(module)}.{_text(attribute)}"))
            case "REDUCE" | "NEWOBJ":
                arguments, maker = stack.pop(), stack.pop()
                push(self.make(maker, arguments))
            case "BUILD":
                stack.pop()
                self.top(Opaque)
            case _:
                assert name == "BINPERSID", name
                if self.persistent is None:
                    raise Refused(f"{self.where}: the opcode {name} is refused where weights have none")
                push(self.persistent(stack.pop()))

    def since_mark(self) -> list[Any]:
        """What was pushed since the last mark, which goes."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def top(self, kind: type) -> Any:  # noqa: ANN401 - of that kind
        """The value on top, which an opcode is about to change."""
        if type(self.stack[-1]) is not kind:
            found = type(self.stack[-1]).__name__
            raise Refused(
                f"{self.where}: a {found} is to be changed as if it were a {kind.__name__}; refused"
            )
        return self.stack[-1]

    def key(self, value: object) -> object:
        """A key that can be hashed at no cost."""
        if type(value) is str or (type(value) is int and value.bit_length() <= KEY_BITS):
            return value
        raise Refused(f"{self.where}: a {type(value).__name__} as a key is refused")

    def token(self, name: str) -> Token:
        """The token of a name, if it is known."""
        if name not in self.constructors and name not in self.inert:
            raise Refused(
                f"{self.where} asks for {name[:200]}, which reading weights never needs; refused, and "
                f"nothing in the file was run. Use a StyleGAN2-ADA pickle in the published PyTorch format, "
                f"from a source you trust"
            )
        return Token(name)

    def make(self, maker: object, arguments: object) -> object:
        """What a known name makes of its arguments."""
        if not isinstance(maker, Token) or not isinstance(arguments, tuple):
            raise Refused(f"{self.where}: calling a {type(maker).__name__} is refused")
        if maker.name not in self.constructors:
            raise Refused(f"{self.where}: calling {maker.name} is refused")
        return self.constructors[maker.name](*arguments)


_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}

_LITERALS = frozenset({
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8",
})  # fmt: skip
"""Opcodes that push their argument."""

_ALLOWED = _LITERALS | {
    "PROTO", "FRAME", "STOP", "NONE", "NEWTRUE", "NEWFALSE", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_SET",
    "EMPTY_TUPLE", "MARK", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "ADDITEMS", "SETITEM",
    "SETITEMS", "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET", "GLOBAL", "STACK_GLOBAL",
    "REDUCE", "NEWOBJ", "BUILD", "BINPERSID",
}  # fmt: skip


def _steps(file: BytesIO, where: str) -> Iterator[tuple[str, Any]]:
    """Opcodes and their arguments; of an opcode that is refused nothing else is read."""
    while True:
        code = file.read(1).decode("latin-1")
        if code not in _OPCODES:
            raise ValueError(f"no opcode at byte {file.tell() - 1}")
        opcode = _OPCODES[code]
        if opcode.name not in _ALLOWED:
            raise Refused(f"{where}: the opcode {opcode.name} is refused; weights need no such thing")
        if opcode.name == "GLOBAL":
            yield opcode.name, f"{_line(file)}.{_line(file)}"
        else:
            yield opcode.name, None if opcode.arg is None else opcode.arg.reader(file)


def _line(file: BytesIO) -> str:
    line = file.readline()
    if not line.endswith(b"\n"):
        raise ValueError("the end of a name is missing")
    return line[:-1].decode()


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError(f"a {type(value).__name__} for a name")
    return value
