from typing import Annotated, Literal

from pydantic import Field
import pytest

from mura_jobs.errors import ConfigError
from mura_jobs.job.config import Config
from mura_jobs.job.flags import Parser, add_flags, given


class Inner(Config):
    keep_aspect: bool = True
    """Whether the aspect is kept."""


class Outer(Config):
    name: str
    """A name, in any letters."""
    parts: tuple[str, ...] = ("a", "b")
    """Parts, 100% of them."""
    size: Annotated[int, Field(ge=1)] | None = None
    """A size in pixels."""
    weights: str | None = None
    """A path."""
    mode: Literal["pad", "crop"] = "pad"
    """How."""
    inner: Inner = Inner()


def parse(*arguments: str) -> dict[str, object]:
    parser = Parser(prog="tool")
    add_flags(parser, Outer, "outer")
    return given(parser.parse_args(arguments), Outer)


def test_flags_give_what_yaml_would() -> None:
    values = parse("--name", "1e3", "--parts", "x", "y", "--size", "3", "--inner.keep-aspect", "false")
    assert values == {"name": "1e3", "parts": ["x", "y"], "size": 3, "inner": {"keep_aspect": False}}
    assert Outer.parse(values).inner == Inner(keep_aspect=False)


def test_flags_not_given_override_nothing() -> None:
    assert parse() == {}


def test_null_unsets_an_optional_value_only() -> None:
    assert parse("--size", "null", "--weights", "null", "--name", "null") == {
        "size": None,
        "weights": None,
        "name": "null",
    }


def test_a_wrong_flag_is_a_wrong_configuration() -> None:
    with pytest.raises(ConfigError, match=r"--nam.*tool --help"):
        parse("--nam", "x")


def test_help_documents_every_value_with_its_default() -> None:
    parser = Parser(prog="tool")
    add_flags(parser, Outer, "outer")
    text = " ".join(parser.format_help().split())
    assert "--name STR A name, in any letters. (required)" in text
    assert "Parts, 100% of them. (default: a b)" in text
    assert "--size INT|null A size in pixels. (default: null)" in text
    assert "--inner.keep-aspect BOOL Whether the aspect is kept. (default: true)" in text
    assert "--mode {pad,crop}" in text
