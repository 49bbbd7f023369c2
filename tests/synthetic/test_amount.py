import pytest

from mura_jobs.errors import ConfigError
from mura_jobs.synthetic.amount import Amount


@pytest.mark.parametrize(
    ("text", "images"),
    [("x1", 200), ("x0.5", 100), ("x2", 400), ("x0.0026", 1), ("x0.0001", 1), ("n480", 480)],
)
def test_an_amount_is_a_ratio_or_a_number(text: str, images: int) -> None:
    assert Amount.parse(text).images(200) == images


@pytest.mark.parametrize("text", ["", "1", "x", "x0", "x-1", "x1e3", "n0", "n1.5", "n-3", "X1", "x1 "])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="amount"):
        Amount.parse(text)
