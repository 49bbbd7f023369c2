"""Typed configuration: the one place where a default lives."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
import json
from typing import Any, Literal, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from mura_jobs.errors import ConfigError

Label = Literal["positive", "negative"]
"""A study's label: positive is abnormal."""

LABELS: tuple[Label, ...] = get_args(Label)
"""Both labels; where labels are one-hot codes, in the order of these."""

Split = Literal["train", "select", "test"]
"""What an image may be used for; a patient lies in exactly one split."""


class Config(BaseModel):
    """Base of every stage's configuration: frozen, strict, and documented by its fields' docstrings.

    A stage is a `Config` and a `run`. Where a stage has several instances in a run, `...Settings` holds what
    they share and `...Config` adds the fields that say which instance this is.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_default=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str = "") -> Self:
        """Check plain values, as YAML or JSON hold them, against this configuration.

        Args:
            values: nested mappings, lists, strings, numbers, booleans and None.
            where: what the values belong to, put before each key's path in messages.

        Raises:
            ConfigError: naming every unknown key, wrong type and impossible value by its path.
        """
        try:
            # JSON mode is strict and still takes a list for a tuple and a number without a point for a float.
            return cls.model_validate_json(json.dumps(values))
        except ValidationError as error:
            raise ConfigError("\n".join(_explain(cls, error, where))) from None
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"{where or cls.__name__}: {error}; expected plain YAML values") from None

    def plain(self) -> dict[str, Any]:
        """The values as JSON holds them, under the keys that YAML files use."""
        return self.model_dump(mode="json", by_alias=True)


def canonical_digest(value: object) -> str:
    """The sha256 (hex) of a value's canonical JSON: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return sha256(text.encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[str]:
    """Name the fields in which two plain configurations differ, each as `path: old → new`."""
    found: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        name = f"{path}.{key}" if path else key
        before, after = old.get(key, "(absent)"), new.get(key, "(absent)")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, name)
        elif before != after:
            found.append(f"{name}: {_show(before)} → {_show(after)}")
    return found


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above` in their places; sections are merged, all else is replaced."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        sections = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(cast("Mapping[str, Any]", old), value) if sections else value
    return result


def _explain(cls: type[Config], error: ValidationError, where: str) -> Iterator[str]:
    for problem in error.errors():
        path = ".".join(str(part) for part in problem["loc"])
        name = ".".join(part for part in (where, path) if part) or cls.__name__
        match problem["type"]:
            case "extra_forbidden":
                yield f"{name}: unknown key; known keys here: {', '.join(_known(cls, problem['loc']))}"
            case "missing":
                yield f"{name}: missing; it is required"
            case _:
                yield f"{name}: {_show(problem['input'])} is not valid: {problem['msg']}"


def _known(cls: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys known at the place of an unknown one."""
    for part in location[:-1]:
        field = next((f for n, f in cls.model_fields.items() if part in (n, f.alias)), None)
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ):
            break
        cls = field.annotation
    return sorted(field.alias or name for name, field in cls.model_fields.items())


def _show(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
