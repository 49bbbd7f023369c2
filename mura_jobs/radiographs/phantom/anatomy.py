"""A patient's shoulder and its views: antero-posterior in rotation, and the scapular Y.

Positions are millimetres in the frame of a right shoulder seen from the front: x towards the body's midline
(right on the picture), y towards the feet, the centre of the humeral head at the origin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.phantom.geometry import Points, about, ellipse, spline, tube
from mura_jobs.radiographs.phantom.solids import Bone, Scene

View = Literal["AP external", "AP internal", "scapular Y"]
VIEWS: tuple[View, ...] = ("AP external", "AP internal", "scapular Y")

_DOWN = np.array([0.0, 1.0])

# The humerus in external rotation (greater tuberosity in profile) and in internal rotation (round as a bulb).
_HUMERUS_EXTERNAL = np.array(
    [
        (-4, -24), (8, -23.3), (18, -16.5), (23.5, -5), (23.5, 7), (18.5, 17), (13, 27), (10.5, 42), (10.5, 62),
        (10.5, 92), (10, 132), (9.5, 182), (9.5, 290), (-11.5, 290), (-11.5, 182), (-12, 132), (-13.5, 92),
        (-13.5, 62), (-16, 42), (-22.5, 28), (-27, 13), (-28.5, 0), (-26, -10), (-19.5, -16.5), (-12, -22),
    ], float,
)  # fmt: skip
_HUMERUS_INTERNAL = np.array(
    [
        (0, -24), (9.5, -22), (18, -15.5), (22.5, -5), (22.5, 5), (19.5, 15), (15, 25), (11.5, 42), (10.5, 62),
        (10.5, 92), (10, 132), (9.5, 182), (9.5, 290), (-11.5, 290), (-11.5, 182), (-12, 132), (-13.5, 92),
        (-13.5, 62), (-16, 42), (-20, 28), (-22.5, 14), (-23.5, 2), (-21.5, -9), (-16, -17.5), (-9, -22.5),
    ], float,
)  # fmt: skip
_HUMERUS_PROFILE = (
    (-24, 21, 0.9, 0.2), (0, 24, 1.0, 0.2), (22, 20, 1.4, 0.19), (40, 14, 2.4, 0.12), (70, 12, 4.2, 0.05),
    (120, 11.5, 4.8, 0.04), (290, 10, 4.5, 0.04),
)  # fmt: skip
_SCAPULA = np.array(
    [
        (36, -16), (47, -21), (62, -24), (88, -40), (112, -56), (123, -50), (121, -20), (118, 20), (110, 70),
        (102, 112), (95, 122), (86, 112), (72, 76), (58, 44), (47, 28), (38, 19),
    ], float,
)  # fmt: skip
_ACROMION = np.array(
    [(26, -47), (8, -48.5), (-10, -45), (-22, -38), (-24, -33), (-17, -33), (-6, -36.5), (8, -38), (26, -36)],
    float,
)
_TRUNK = np.array(
    [
        (185, -200), (160, -160), (140, -122), (108, -94), (70, -80), (30, -73), (-4, -68), (-32, -56), (-52, -30),
        (-58, 0), (-44, 50), (-6, 92), (30, 126), (40, 165), (42, 300), (320, 300), (320, -200),
    ], float,
)  # fmt: skip


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
        """The outline, bent smoothly by up to a few mm as this patient's numbers from `first` on say."""
        phase = outline @ np.array([[0.021, 0.034], [0.03, -0.019]])
        a, b, c, d = self.shape[first : first + 4] * by
        wave = np.stack(
            [
                a * np.sin(phase[:, 0]) + b * np.cos(phase[:, 1]),
                c * np.sin(phase[:, 1] + 1) + d * np.cos(phase[:, 0] + 2),
            ],
            1,
        )
        return outline + wave


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
        low, high = {"AP external": (2, 18), "AP internal": (0, 11), "scapular Y": (-6, 10)}[view]
        return Stance(
            view, float(random.uniform(low, high)), float(random.uniform(0, 1)), float(random.normal(0, 5))
        )


def scene(anatomy: Anatomy, stance: Stance) -> Scene:
    """Everything in the beam, in mm of this patient."""
    build = _scapular_y if stance.view == "scapular Y" else _antero_posterior
    return build(anatomy, stance)


def _bone(name: str, outline: Points, profile: Sequence[tuple[float, ...]], patient: Anatomy) -> Bone:
    rows = np.array(profile, float) * (1, 1, patient.cortex, 1)
    return Bone(name, outline, np.zeros(2), _DOWN, rows, patient.density)


def _flat(name: str, outline: Points, half: float, cortex: float, filling: float, patient: Anatomy) -> Bone:
    """A bone of the same half thickness and cortex (mm) all along."""
    return _bone(name, outline, [(0, half, cortex, filling)], patient)


def _humerus(patient: Anatomy, stance: Stance) -> Bone:
    external = {
        "AP external": 0.55 + 0.45 * stance.rotation,
        "AP internal": 0.25 * stance.rotation,
        "scapular Y": 0.1,
    }
    share = external[stance.view]
    knots = share * _HUMERUS_EXTERNAL + (1 - share) * _HUMERUS_INTERNAL
    outline = patient.bent(spline(knots, closed=True), 0, 0.8)
    bone = _bone("humerus", outline, _HUMERUS_PROFILE, patient)
    return bone.moved(about(np.zeros(2), stance.abduction, np.array(stance.luxation)))


def _arm(patient: Anatomy, humerus: Bone) -> Points:
    path = np.array([(-6, -8), (-6, 60), (-4, 130), (-2, 210), (0, 330)], float)
    widths = np.array([104, 100, 92, 84, 80], float) + 2 * patient.bulk
    return humerus.frame(patient.bent(tube(path, widths), 4, 1.5))


def _rib(patient: Anatomy, number: int, stance: Stance) -> list[Bone]:
    y = patient.rib_start + number * patient.ribs + stance.breath
    wall = np.interp(y + 36, [-60, -30, 0, 30, 80, 150, 260], [134, 116, 102, 92, 82, 76, 72])
    sag = 10 + 3 * number
    back = np.array(
        [
            (215, y - 2),
            (190, y - 6),
            (160, y - 4),
            (130, y + 0.35 * sag),
            (wall + 12, y + 0.8 * sag),
            (wall, y + sag + 14),
        ],
        float,
    )
    front = np.array(
        [
            (wall, y + sag + 14),
            (wall + 4, y + sag + 30),
            (wall + 22, y + sag + 52),
            (150, y + sag + 80),
            (190, y + sag + 88),
        ],
        float,
    )
    width = 7.5 + 0.8 * np.sin(2.1 * number + patient.shape[40])
    width += 0.25 * min(number, 6)
    return [
        _flat(
            f"rib {number} back",
            patient.bent(tube(back, np.array([width, width + 1, width])), 8),
            4.2,
            1.5,
            0.2,
            patient,
        ),
        _flat(
            f"rib {number} front",
            patient.bent(tube(front, np.array([width, width + 2, width + 3])), 8),
            2.6,
            0.6,
            0.2,
            patient,
        ),
    ]


def _antero_posterior(patient: Anatomy, stance: Stance) -> Scene:
    humerus = _humerus(patient, stance)
    tilt = about(np.array([20.0, -42.0]), patient.acromion, np.zeros(2))
    spine = tube(np.array([(122, -30), (90, -36), (56, -41), (26, -42)], float), np.array([5, 8, 11, 11]))
    clavicle = tube(
        np.array([(8, -51), (34, -58), (70, -60), (108, -51), (150, -38), (196, -26)], float),
        np.array([15, 12.5, 11, 11.5, 13, 18]),
    )
    border = tube(np.array([(40, 20), (58, 46), (76, 80), (94, 117)], float), np.array([8, 7, 6, 7]))
    bones = (
        *(rib for number in range(10) for rib in _rib(patient, number, stance)),
        _flat("scapula", patient.bent(spline(_SCAPULA, closed=True), 12), 2.2, 1.0, 0.25, patient),
        _flat("lateral border", patient.bent(border, 12), 3.6, 1.4, 0.3, patient),
        _flat("scapular spine", tilt(patient.bent(spine, 12)), 3.6, 1.5, 0.3, patient),
        _flat(
            "neck",
            patient.bent(
                spline(
                    np.array([(31, -16), (40, -19), (52, -14), (58, 4), (50, 24), (38, 20), (32, 17)], float),
                    closed=True,
                ),
                12,
            ),
            5,
            1.0,
            0.12,
            patient,
        ),
        _flat(
            "glenoid",
            patient.bent(ellipse((31.5, 1), (5.5 + 1.2 * abs(patient.shape[41]), 18.5), -6), 12),
            5,
            1.8,
            0.08,
            patient,
        ),
        _flat("acromion", tilt(patient.bent(spline(_ACROMION, closed=True), 16)), 6.5, 1.5, 0.22, patient),
        _flat(
            "coracoid",
            patient.bent(
                tube(
                    np.array([(50, -20), (46, -28), (38, -28), (33, -20)], float),
                    np.array([13, 11, 10.5, 11]),
                ),
                12,
            ),
            5.5,
            1.5,
            0.25,
            patient,
        ),
        _flat("clavicle", patient.bent(clavicle, 20, 1.3), 5.6, 2.0, 0.15, patient),
        humerus,
    )
    chest = np.array(
        [
            (150, -62),
            (132, -46),
            (116, -22),
            (104, 4),
            (94, 34),
            (86, 80),
            (80, 150),
            (76, 300),
            (178, 300),
            (186, 150),
            (182, 40),
            (176, -40),
            (166, -62),
        ],
        float,
    ) + (0, stance.breath)
    arm = _arm(patient, humerus)
    trunk = _thicker(spline(_TRUNK, closed=True), patient.bulk)
    return Scene(
        bones,
        (patient.bent(trunk, 24, 1.5), arm),
        56 + patient.bulk,
        (patient.bent(spline(chest, closed=True), 8),),
        arm,
    )


def _scapular_y(patient: Anatomy, stance: Stance) -> Scene:
    humerus = _humerus(patient, stance)
    body = tube(np.array([(2, 2), (4, 40), (1, 80), (-6, 124)], float), np.array([20, 11, 9, 9]))
    coracoid = tube(np.array([(4, 2), (14, -18), (28, -30), (42, -30)], float), np.array([17, 13, 12, 10]))
    spine = tube(np.array([(2, 0), (-10, -20), (-26, -38), (-36, -48)], float), np.array([16, 12, 11, 15]))
    acromion = tube(np.array([(-38, -46), (-22, -54), (0, -55), (16, -50)], float), np.array([13, 13, 11, 9]))
    clavicle = tube(
        np.array([(6, -58), (28, -66), (56, -68), (96, -58), (150, -44)], float),
        np.array([14, 12, 11, 12, 14]),
    )
    ribs = []
    for number in range(9):
        y = patient.rib_start + 4 + number * patient.ribs + stance.breath
        wall = np.interp(y + 20, [-60, -20, 40, 120, 260], [66, 44, 26, 16, 12])
        path = np.array(
            [
                (wall + 26, y - 14),
                (wall + 5, y),
                (wall, y + 16),
                (wall + 20, y + 36),
                (wall + 70, y + 62),
                (wall + 130, y + 76),
            ],
            float,
        )
        outline = patient.bent(tube(path, np.array([8, 7, 8, 9, 10], float)), 8)
        ribs.append(_flat(f"rib {number}", outline, 3.4, 1.1, 0.2, patient))
    bones = (
        *ribs,
        _flat("scapula", patient.bent(body, 12), 8, 1.6, 0.25, patient),
        _flat("scapular spine", patient.bent(spine, 12), 6.5, 1.5, 0.25, patient),
        _flat("glenoid", patient.bent(ellipse((2, 0), (14, 17)), 12), 6, 1.3, 0.2, patient),
        _flat("coracoid", patient.bent(coracoid, 12), 6, 1.5, 0.25, patient),
        _flat("acromion", patient.bent(acromion, 16), 6.5, 1.5, 0.25, patient),
        _flat("clavicle", patient.bent(clavicle, 20, 1.3), 5.6, 2.0, 0.15, patient),
        humerus,
    )
    chest = np.array(
        [
            (100, -64),
            (70, -50),
            (48, -14),
            (32, 36),
            (22, 100),
            (16, 180),
            (14, 300),
            (160, 300),
            (170, 100),
            (150, -40),
        ],
        float,
    ) + (0, stance.breath)
    trunk = np.array(
        [
            (130, -200),
            (104, -140),
            (70, -104),
            (30, -82),
            (-10, -78),
            (-46, -66),
            (-70, -34),
            (-78, 20),
            (-80, 100),
            (-84, 200),
            (-84, 310),
            (320, 310),
            (320, -200),
        ],
        float,
    )
    arm = _arm(patient, humerus)
    return Scene(
        bones,
        (_thicker(spline(trunk, closed=True), patient.bulk), arm),
        66 + patient.bulk,
        (patient.bent(spline(chest, closed=True), 8),),
        arm,
    )


def _thicker(outline: Points, millimetres: float) -> Points:
    """The outline moved outwards along its normals."""
    tangent = np.roll(outline, -1, axis=0) - np.roll(outline, 1, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) * _orientation(outline)
    return outline + millimetres * normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)


def _orientation(outline: Points) -> float:
    """-1 for an outline that runs clockwise on the screen, 1 for the other."""
    x, y = outline.T
    return float(-np.sign(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))))
