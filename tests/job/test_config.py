from typing import Annotated

from pydantic import Field
import pytest

from mura_jobs.errors import ConfigError
from mura_jobs.job.config import Config, canonical_digest, differences, merged


class Inner(Config):
    rate: Annotated[float, Field(gt=0, le=1)] = 0.5
    """A rate, 0 to 1."""


class Outer(Config):
    name: str
    sizes: tuple[int, ...] = (1, 2)
    inner: Inner = Inner()
    limit: int | None = None


def test_plain_values_round_trip() -> None:
    """What a configuration writes, it reads as itself, though JSON knows no tuples."""
    config = Outer.parse({"name": "a", "sizes": [3], "inner": {"rate": 1}})
    assert Outer.parse(config.plain()) == config
    assert config.inner.rate == 1.0


@pytest.mark.parametrize(
    ("values", "path", "reason"),
    [
        ({"name": "a", "inner": {"raet": 1}}, "stage.inner.raet", "known keys here: rate"),
        ({"name": "a", "colour": 1}, "stage.colour", "inner, limit, name, sizes"),
        ({"name": "a", "sizes": [1, "2"]}, "stage.sizes.1", '"2"'),
        ({"name": "a", "inner": {"rate": 0}}, "stage.inner.rate", "greater than 0"),
        ({"name": "a", "inner": {"rate": float("nan")}}, "stage.inner.rate", "NaN"),
        ({"name": "a", "limit": 1.5}, "stage.limit", "1.5"),
        ({"name": 3}, "stage.name", "3"),
        ({}, "stage.name", "required"),
    ],
)
def test_wrong_values_are_refused_by_path(values: dict[str, object], path: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Outer.parse(values, "stage")
    assert path in str(caught.value)
    assert reason in str(caught.value)
    assert caught.value.exit_code == 64


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Outer.parse({"name": 1, "limit": "x"})
    assert "name" in str(caught.value)
    assert "limit" in str(caught.value)


def test_values_that_yaml_can_hold_and_json_cannot_are_refused() -> None:
    with pytest.raises(ConfigError, match="plain YAML values"):
        Outer.parse({"name": object()})


def test_differences_name_exactly_the_changed_fields() -> None:
    old = Outer(name="a", inner=Inner(rate=0.25)).plain()
    new = Outer(name="a", sizes=(1,)).plain()
    assert differences(old, new) == ["inner.rate: 0.25 → 0.5", "sizes: [1, 2] → [1]"]
    assert differences(old, old) == []


def test_merging_replaces_values_and_keeps_their_neighbours() -> None:
    assert merged({"a": {"x": 1, "y": [1, 2]}, "b": 1}, {"a": {"y": [3]}, "c": 2}) == {
        "a": {"x": 1, "y": [3]},
        "b": 1,
        "c": 2,
    }


def test_digest_depends_on_content_and_not_on_order() -> None:
    assert canonical_digest({"a": 1, "b": [1.5, "ü"]}) == canonical_digest({"b": [1.5, "ü"], "a": 1})
    assert canonical_digest({"a": 1}) != canonical_digest({"a": 1.5})
