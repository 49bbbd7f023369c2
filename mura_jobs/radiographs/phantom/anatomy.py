"""A patient's shoulder and how the patient stands for a picture."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.phantom.geometry import Points

View = Literal["AP external", "AP internal", "scapular Y"]
VIEWS: tuple[View, ...] = ("AP external", "AP internal", "scapular Y")
"""Antero-posterior with the arm rotated outwards and inwards, and along the blade of the scapula."""

_ABDUCTION: dict[View, tuple[float, float]] = {
    "AP external": (2, 18),
    "AP internal": (0, 11),
    "scapular Y": (-6, 10),
}


@dataclass(frozen=True)
class Anatomy:
    """What stays the same in every picture of one patient."""

    size: float
    """Lengths against an average adult's."""
    bulk: float
    """Millimetres of soft tissue added under the skin, all round."""
    density: float
    """Bone mineral against a healthy adult's."""
    cortex: float
    """Cortex thickness against a healthy adult's."""
    acromion: float
    """Slope of the acromion (degrees)."""
    ribs: float
    """Distance between ribs (mm)."""
    rib_start: float
    """Height (mm) of the first rib."""
    shape: NDArray[np.float64]
    """(64,) standard normal numbers that bend the outlines."""

    @staticmethod
    def draw(random: np.random.Generator) -> "Anatomy":
        """A patient."""
        return Anatomy(
            size=float(np.clip(random.normal(1.0, 0.06), 0.84, 1.16)),
            bulk=float(random.gamma(2.0, 6.0)) - 6,
            density=float(np.clip(random.normal(1.0, 0.13), 0.6, 1.35)),
            cortex=float(np.clip(random.normal(1.0, 0.15), 0.55, 1.4)),
            acromion=float(random.normal(0, 5)),
            ribs=float(random.normal(25, 1.8)),
            rib_start=float(random.normal(-52, 6)),
            shape=random.normal(size=64),
        )

    def bent(self, outline: Points, first: int, by: float = 1.0) -> Points:
        """The outline, bent by a few mm as this patient's four `shape` numbers from `first` on say."""
        u, v = (outline @ np.array([[0.021, 0.034], [0.03, -0.019]])).T
        a, b, c, d = by * self.shape[first : first + 4]
        wave = np.stack([a * np.sin(u) + b * np.cos(v), c * np.sin(v + 1) + d * np.cos(u + 2)], axis=1)
        return np.asarray(outline + wave)


@dataclass(frozen=True)
class Stance:
    """How the patient stands for one picture."""

    view: View
    abduction: float
    """Angle of the humerus away from the trunk (degrees)."""
    rotation: float
    """Rotation of the humerus within the view's range, 0 to 1."""
    breath: float
    """Millimetres by which the ribs lie lower."""
    luxation: tuple[float, float] = (0.0, 0.0)
    """Millimetres by which the humeral head lies out of its socket: towards the midline, towards the feet."""

    @staticmethod
    def draw(view: View, random: np.random.Generator) -> "Stance":
        """A stance for a view."""
        return Stance(
            view,
            abduction=float(random.uniform(*_ABDUCTION[view])),
            rotation=float(random.uniform(0, 1)),
            breath=float(random.normal(0, 5)),
        )
