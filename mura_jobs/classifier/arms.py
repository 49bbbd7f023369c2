"""Arms: what a classifier of the experiment is trained on, by a name that says it all."""

from dataclasses import dataclass
import re
from typing import Literal, cast

from mura_jobs.errors import ConfigError
from mura_jobs.job.config import LABELS
from mura_jobs.synthetic.amount import Amount

Kind = Literal["real", "real-duplicated", "real+synthetic", "synthetic-only"]

GRAMMAR = (
    "an arm is real, real-duplicated, real+synthetic or synthetic-only; all but real take an amount of "
    "extra images, -x0.5 (ratio to the real ones; x1 if not given) or -n960 (images, half of each label); "
    "and all but synthetic-only take a share of the real patients, -f0.25 (all if not given); for instance "
    "real+synthetic-x0.5-f0.25"
)

PATTERN = re.compile(
    r"(?P<kind>real\+synthetic|real-duplicated|real|synthetic-only)"
    r"(-(?P<amount>[xn][\d.]+))?"
    r"(-f(?P<fraction>0\.\d{1,4}))?"
)
"""An arm's name; what its parts allow besides, `Arm.parse` knows."""


@dataclass(frozen=True)
class Arm:
    """The training set of one arm, as data."""

    name: str
    kind: Kind
    amount: Amount | None
    """Extra images: copies or synthetic ones. None for `real`."""
    fraction: float
    """Share of the real training patients that is used, above 0 to 1."""

    @classmethod
    def parse(cls, name: str) -> "Arm":
        """Read an arm's name.

        Raises:
            ConfigError: naming the grammar.
        """
        match = PATTERN.fullmatch(name)
        if match is None:
            raise ConfigError(f"{name!r} is no arm; {GRAMMAR}")
        kind = cast("Kind", match["kind"])
        fraction = float(match["fraction"] or 1)
        if (kind == "real" and match["amount"]) or (kind == "synthetic-only" and match["fraction"]):
            raise ConfigError(f"{name!r} is no arm; {GRAMMAR}")
        if not fraction:
            raise ConfigError(f"{name!r} is an arm without real images; {GRAMMAR}")
        amount = None if kind == "real" else Amount.parse(match["amount"] or "x1")
        if amount and amount.unit == "images" and amount.value % len(LABELS):
            raise ConfigError(f"{name!r}: {amount.value} images can't be shared evenly by two labels")
        return cls(name, kind, amount, fraction)

    @property
    def has_real(self) -> bool:
        """Whether real radiographs are trained on."""
        return self.kind != "synthetic-only"

    @property
    def has_synthetic(self) -> bool:
        """Whether synthetic radiographs are trained on."""
        return self.kind in ("real+synthetic", "synthetic-only")

    def extra_images(self, real: int) -> int:
        """Extra images of one label, of which there are `real` real ones in this arm."""
        if self.amount is None:
            return 0
        if self.amount.unit == "images":
            return int(self.amount.value) // len(LABELS)
        return self.amount.images(real)


def uses_synthetic(name: str) -> bool:
    """Whether the arm of this name reads the outputs of `synthesize`.

    Raises:
        ConfigError: it is no arm.
    """
    return Arm.parse(name).has_synthetic


def lacks_synthetic(name: str, made: str) -> bool:
    """Whether the arm of this name takes more synthetic images than `made`, an amount of each label, are.

    Only amounts of the same unit can be compared before the data are known: a ratio with a ratio, a number
    with a number. An arm's ratio is to its own share of the real images.

    Raises:
        ConfigError: it is no arm, or `made` no amount.
    """
    arm, there = Arm.parse(name), Amount.parse(made)
    if not arm.has_synthetic or arm.amount is None or arm.amount.unit != there.unit:
        return False
    if arm.amount.unit == "images":
        return arm.extra_images(0) > there.value
    return arm.amount.value * arm.fraction > there.value
