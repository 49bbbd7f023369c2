"""Outlines of an average adult's right shoulder, seen from the front and, as a scapular Y, from the side.

Millimetres: x towards the body's midline (right on the picture), y towards the feet, the centre of the
humeral head at the origin. Closed outlines are knots of a smooth curve, paths those of a tube's middle line.
"""

from typing import Final

import numpy as np

from mura_jobs.radiographs.phantom.geometry import Points


def _knots(*points: tuple[float, float]) -> Points:
    return np.array(points, float)


# fmt: off
HUMERUS_EXTERNAL: Final = _knots(
    (-4, -24), (8, -23.3), (18, -16.5), (23.5, -5), (23.5, 7), (18.5, 17), (13, 27), (10.5, 42),
    (10.5, 62), (10.5, 92), (10, 132), (9.5, 182), (9.5, 290), (-11.5, 290), (-11.5, 182), (-12, 132),
    (-13.5, 92), (-13.5, 62), (-16, 42), (-22.5, 28), (-27, 13), (-28.5, 0), (-26, -10), (-19.5, -16.5),
    (-12, -22),
)
"""External rotation: the greater tuberosity stands out sideways."""
HUMERUS_INTERNAL: Final = _knots(
    (0, -24), (9.5, -22), (18, -15.5), (22.5, -5), (22.5, 5), (19.5, 15), (15, 25), (11.5, 42), (10.5, 62),
    (10.5, 92), (10, 132), (9.5, 182), (9.5, 290), (-11.5, 290), (-11.5, 182), (-12, 132), (-13.5, 92),
    (-13.5, 62), (-16, 42), (-20, 28), (-22.5, 14), (-23.5, 2), (-21.5, -9), (-16, -17.5), (-9, -22.5),
)
"""Internal rotation: the head is round as a bulb."""
SCAPULA: Final = _knots(
    (36, -16), (47, -21), (62, -24), (88, -40), (112, -56), (123, -50), (121, -20), (118, 20), (110, 70),
    (102, 112), (95, 122), (86, 112), (72, 76), (58, 44), (47, 28), (38, 19),
)
ACROMION: Final = _knots(
    (26, -47), (8, -48.5), (-10, -45), (-22, -38), (-24, -33), (-17, -33), (-6, -36.5), (8, -38),
    (26, -36),
)
TRUNK: Final = _knots(
    (185, -200), (160, -160), (140, -122), (108, -94), (70, -80), (30, -73), (-4, -68), (-32, -56),
    (-52, -30), (-58, 0), (-44, 50), (-6, 92), (30, 126), (40, 165), (42, 300), (320, 300), (320, -200),
)
NECK: Final = _knots((31, -16), (40, -19), (52, -14), (58, 4), (50, 24), (38, 20), (32, 17))
CHEST: Final = _knots(
    (150, -62), (132, -46), (116, -22), (104, 4), (94, 34), (86, 80), (80, 150), (76, 300), (178, 300),
    (186, 150), (182, 40), (176, -40), (166, -62),
)
SPINE_PATH: Final = _knots((122, -30), (90, -36), (56, -41), (26, -42))
BORDER_PATH: Final = _knots((40, 20), (58, 46), (76, 80), (94, 117))
CORACOID_PATH: Final = _knots((50, -20), (46, -28), (38, -28), (33, -20))
CLAVICLE_PATH: Final = _knots((8, -51), (34, -58), (70, -60), (108, -51), (150, -38), (196, -26))
Y_TRUNK: Final = _knots(
    (130, -200), (104, -140), (70, -104), (30, -82), (-10, -78), (-46, -66), (-70, -34), (-78, 20),
    (-80, 100), (-84, 200), (-84, 310), (320, 310), (320, -200),
)
Y_CHEST: Final = _knots(
    (100, -64), (70, -50), (48, -14), (32, 36), (22, 100), (16, 180), (14, 300), (160, 300), (170, 100),
    (150, -40),
)
Y_BODY_PATH: Final = _knots((2, 2), (4, 40), (1, 80), (-6, 124))
Y_CORACOID_PATH: Final = _knots((4, 2), (14, -18), (28, -30), (42, -30))
Y_SPINE_PATH: Final = _knots((2, 0), (-10, -20), (-26, -38), (-36, -48))
Y_ACROMION_PATH: Final = _knots((-38, -46), (-22, -54), (0, -55), (16, -50))
Y_CLAVICLE_PATH: Final = _knots((6, -58), (28, -66), (56, -68), (96, -58), (150, -44))
ARM_PATH: Final = _knots((-6, -8), (-6, 60), (-4, 130), (-2, 210), (0, 330))

HUMERUS_PROFILE: Final = np.array([
    (-24, 21, 0.9, 0.2), (0, 24, 1.0, 0.2), (22, 20, 1.4, 0.19), (40, 14, 2.4, 0.12), (70, 12, 4.2, 0.05),
    (120, 11.5, 4.8, 0.04), (290, 10, 4.5, 0.04),
])
"""A `Profile` (see `solids`) along the humerus."""
