from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
import pytest

from mura_jobs.classifier.arms import Arm, lacks_synthetic, uses_synthetic
from mura_jobs.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "kind", "extra", "fraction"),
    [
        ("real", "real", 0, 1.0),
        ("real-f0.25", "real", 0, 0.25),
        ("real-duplicated", "real-duplicated", 200, 1.0),
        ("real+synthetic", "real+synthetic", 200, 1.0),
        ("real+synthetic-x0.5", "real+synthetic", 100, 1.0),
        ("real+synthetic-n960", "real+synthetic", 480, 1.0),
        ("synthetic-only-x2", "synthetic-only", 400, 1.0),
        ("real-duplicated-n960-f0.05", "real-duplicated", 480, 0.05),
    ],
)
def test_an_arms_name_says_it_all(name: str, kind: str, extra: int, fraction: float) -> None:
    arm = Arm.parse(name)
    assert (arm.kind, arm.extra_images(200), arm.fraction) == (kind, extra, fraction)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Real",
        "real ",
        "fake",
        "real-x1",
        "real-n960",
        "real+synthetic-x0",
        "real+synthetic-n0",
        "real+synthetic-n961",
        "real+synthetic-0.5",
        "real+synthetic-x0.5-n9",
        "real-f0",
        "real-f0.0",
        "real-f1.5",
        "synthetic-only-f0.5",
        "real+synthetic-f0.5-x1",
    ],
)
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"arm|amount|shared"):
        Arm.parse(name)


@given(st.text(max_size=20))
def test_no_text_breaks_the_grammar(text: str) -> None:
    with suppress(ConfigError):
        assert Arm.parse(text).name == text


@given(st.integers(1, 10_000), st.sampled_from(["", "-x0.25", "-x2", "-n960"]))
def test_the_control_gets_as_many_extra_images_as_the_treatment(real: int, amount: str) -> None:
    control, treatment = Arm.parse(f"real-duplicated{amount}"), Arm.parse(f"real+synthetic{amount}")
    assert control.extra_images(real) == treatment.extra_images(real) > 0


def test_only_arms_with_synthetic_images_read_them() -> None:
    assert [
        uses_synthetic(name) for name in ("real", "real-duplicated", "real+synthetic", "synthetic-only")
    ] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("name", "made", "lacks"),
    [
        ("real+synthetic", "x1", False),
        ("real+synthetic-x2", "x1", True),
        ("real+synthetic-x2-f0.5", "x1", False),
        ("real+synthetic-x8-f0.25", "x1", True),
        ("synthetic-only-x1.5", "x1", True),
        ("real-duplicated-x2", "x1", False),
        ("real+synthetic-n960", "n480", False),
        ("real+synthetic-n962", "n480", True),
        ("real+synthetic-n962", "x1", False),
        ("real+synthetic-x2", "n480", False),
    ],
)
def test_an_amount_that_cannot_suffice_is_known_before_the_data_are(
    name: str, made: str, lacks: bool
) -> None:
    assert lacks_synthetic(name, made) == lacks
