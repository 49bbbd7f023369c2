"""Plain values out of YAML: what a person may have written, and not what was made to break a parser."""

from collections.abc import Iterator
from typing import Any

import yaml

from mura_jobs.errors import ConfigError

MAX_VALUES = 100_000
"""Values that a text may stand for, those behind aliases counted each time; a whole run's file has 300."""


def parse_yaml(text: str, where: str) -> Any:  # noqa: ANN401 - any plain value
    """The value that a YAML text stands for. No code is run and nothing is made but plain values.

    Args:
        text: YAML.
        where: where it stands, for messages.

    Raises:
        ConfigError: it is no YAML, or values that hold themselves, hold too many or are nested too deeply.
    """
    try:
        value = yaml.safe_load(text)
        count = sum(1 for _ in zip(_values(value), range(MAX_VALUES + 1), strict=False))
    except RecursionError:
        raise ConfigError(f"{where}: values are nested too deeply, or hold themselves") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigError(f"{where} can't be read as YAML: {str(error)[:1000]}") from None
    if count > MAX_VALUES:
        raise ConfigError(f"{where}: stands for more than {MAX_VALUES:,} values by its aliases")
    return value


def _values(value: object) -> Iterator[object]:
    """The value and all within it."""
    yield value
    if isinstance(value, dict):
        for key, below in value.items():
            yield key
            yield from _values(below)
    elif isinstance(value, list | tuple | set):
        for below in value:
            yield from _values(below)
