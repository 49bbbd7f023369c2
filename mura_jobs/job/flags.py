"""Command-line flags made from configuration classes: `preprocess.cleaning.crop` is `--cleaning.crop`."""

import argparse
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from mura_jobs.errors import ConfigError
from mura_jobs.job.values import parse_yaml


def add_flags(parser: argparse.ArgumentParser, cls: type[BaseModel], title: str) -> None:
    """Give `parser` one flag for each value of a configuration, its documentation and default in the help.

    A flag that is not given leaves no trace in the parsed namespace, so that it overrides nothing.
    """
    group = parser.add_argument_group(title)
    for path, annotation, description, default in leaves(cls):
        required = default is PydanticUndefined
        note = "required" if required else f"default: {_written(default)}"
        group.add_argument(
            f"--{path.replace('_', '-')}",
            dest=path,
            metavar=_metavar(annotation),
            type=_reader(annotation),
            nargs="+" if get_origin(annotation) is tuple else None,
            default=argparse.SUPPRESS,
            help=f"{' '.join(description.split())} ({note})".replace("%", "%%"),
        )


def given(namespace: argparse.Namespace, cls: type[BaseModel]) -> dict[str, Any]:
    """The values that flags gave for a configuration, nested as YAML would have them."""
    values: dict[str, Any] = {}
    for path, *_ in leaves(cls):
        if hasattr(namespace, path):
            *sections, name = path.split(".")
            section = values
            for part in sections:
                section = section.setdefault(part, {})
            section[name] = getattr(namespace, path)
    return values


def leaves(cls: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any, str, object]]:
    """Every single value of a configuration: (path, type, description, default)."""
    for name, field in cls.model_fields.items():
        path = prefix + (field.alias or name)
        section = _section(field.annotation)
        if section is not None:
            yield from leaves(section, f"{path}.")
        else:
            yield (
                path,
                field.annotation,
                field.description or "",
                field.get_default(call_default_factory=True),
            )


def _section(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any annotation
    for candidate in (annotation, *_alternatives(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _alternatives(annotation: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any annotation
    if get_origin(annotation) not in (Union, UnionType):
        return ()
    return tuple(_bare(kind) for kind in get_args(annotation))


def _bare(annotation: Any) -> Any:  # noqa: ANN401 - any annotation
    """The type within Annotated[...]."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _reader(annotation: Any) -> Any:  # noqa: ANN401 - argparse's `type`
    """Read text as YAML would, except where only text is possible: a run named 1e3 stays a name."""
    if get_origin(annotation) is tuple:
        annotation = _bare(get_args(annotation)[0])
    kinds = [kind for kind in _alternatives(annotation) or (annotation,) if kind is not NoneType]
    textual = all(kind is str or get_origin(kind) is Literal for kind in kinds)
    optional = NoneType in _alternatives(annotation)

    def read(text: str) -> object:
        if textual:
            return None if optional and text == "null" else text
        try:
            return parse_yaml(text, repr(text[:200]))
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _metavar(annotation: Any) -> str:  # noqa: ANN401 - any annotation
    alternatives = _alternatives(annotation)
    if alternatives:
        return "|".join(_metavar(kind) for kind in alternatives)
    if get_origin(annotation) is tuple:
        return _metavar(_bare(get_args(annotation)[0]))
    if get_origin(annotation) is Literal:
        return "{" + ",".join(str(value) for value in get_args(annotation)) + "}"
    if annotation is NoneType:
        return "null"
    return str(getattr(annotation, "__name__", annotation)).upper()


def _written(default: object) -> str:
    if isinstance(default, tuple):
        return " ".join(str(item) for item in default) or "none"
    return "null" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


class Parser(argparse.ArgumentParser):
    """argparse, with our exit code: a wrong command line is a wrong configuration, and no flag is guessed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - argparse's own
        kwargs["allow_abbrev"] = False
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Report a wrong command line.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{message}; see {self.prog} --help")
