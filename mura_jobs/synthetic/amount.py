"""How many images: the one grammar that `synthesize` and the arms of `train-cnn` share."""

from dataclasses import dataclass
import re
from typing import Literal

from mura_jobs.errors import ConfigError

GRAMMAR = "x and a ratio to the real images (x1, x0.5), or n and a number of images (n480)"

_PATTERN = re.compile(r"x(?P<ratio>\d{1,4}(\.\d{1,4})?)|n(?P<images>[1-9]\d{0,7})")


@dataclass(frozen=True)
class Amount:
    """A number of images, by itself or as a ratio to the number of real ones."""

    unit: Literal["ratio", "images"]
    value: float

    @classmethod
    def parse(cls, text: str) -> "Amount":
        """Read "x0.5" or "n480".

        Raises:
            ConfigError: naming the grammar.
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise ConfigError(f"{text!r} is no amount; expected {GRAMMAR}")
        amount = (
            cls("images", int(match["images"])) if match["images"] else cls("ratio", float(match["ratio"]))
        )
        if amount.value <= 0:
            raise ConfigError(f"{text!r} is an amount of nothing; expected a ratio above 0")
        return amount

    def images(self, real: int) -> int:
        """Number of images where there are `real` real ones: at least 1, halves rounded up."""
        if self.unit == "images":
            return int(self.value)
        return max(1, int(self.value * real + 0.5))
