"""The views: which bones and tissues a patient puts into the beam, and where."""

import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.phantom import outlines
from mura_jobs.radiographs.phantom.anatomy import Anatomy, Stance
from mura_jobs.radiographs.phantom.geometry import Points, about, ellipse, spline, thicker, tube
from mura_jobs.radiographs.phantom.solids import Bone, Profile, Scene


def scene(anatomy: Anatomy, stance: Stance) -> Scene:
    """Everything in the beam, in mm of an adult of average size."""
    humerus = _humerus(anatomy, stance)
    front = stance.view != "scapular Y"
    others = _seen_from_the_front(anatomy, stance) if front else _seen_along_the_scapula(anatomy, stance)
    trunk, chest = (outlines.TRUNK, outlines.CHEST) if front else (outlines.Y_TRUNK, outlines.Y_CHEST)
    arm = humerus.frame(anatomy.bent(tube(outlines.ARM_PATH, _ARM_WIDTHS + 2 * anatomy.bulk), 4, 1.5))
    skin = anatomy.bent(thicker(spline(trunk, closed=True), anatomy.bulk), 24, 1.5)
    lung = anatomy.bent(spline(chest, closed=True), 8) + np.array([0, stance.breath])
    half = (56 if front else 66) + anatomy.bulk
    return Scene((*others, humerus), body=(skin, arm), half_thickness=half, lung=(lung,), arm=arm)


_ARM_WIDTHS = np.array([104.0, 100, 92, 84, 80])


def _bone(name: str, outline: Points, profile: Profile, patient: Anatomy) -> Bone:
    scaled = profile * (1, 1, patient.cortex, 1)
    return Bone(name, outline, np.zeros(2), np.array([0.0, 1.0]), scaled, patient.density)


def _flat(name: str, outline: Points, section: tuple[float, float, float], patient: Anatomy) -> Bone:
    """A bone with the same half thickness (mm), cortex (mm) and filling all along."""
    return _bone(name, outline, np.array([(0.0, *section)]), patient)


def _humerus(patient: Anatomy, stance: Stance) -> Bone:
    outwards = {"AP external": 0.55 + 0.45 * stance.rotation, "AP internal": 0.25 * stance.rotation}
    share = outwards.get(stance.view, 0.1)
    knots = share * outlines.HUMERUS_EXTERNAL + (1 - share) * outlines.HUMERUS_INTERNAL
    outline = patient.bent(spline(knots, closed=True), 0, 0.8)
    bone = _bone("humerus", outline, outlines.HUMERUS_PROFILE, patient)
    return bone.moved(about(np.zeros(2), stance.abduction, np.array(stance.luxation)))


def _seen_from_the_front(patient: Anatomy, stance: Stance) -> list[Bone]:
    def scapular(outline: Points) -> Points:
        return patient.bent(outline, 12)

    slope = about(np.array([20.0, -42.0]), patient.acromion, np.zeros(2))
    border = tube(outlines.BORDER_PATH, _widths(8, 7, 6, 7))
    spine = tube(outlines.SPINE_PATH, _widths(5, 8, 11, 11))
    socket = ellipse((31.5, 1), (5.5 + 1.2 * abs(patient.shape[41]), 18.5), -6)
    coracoid = tube(outlines.CORACOID_PATH, _widths(13, 11, 10.5, 11))
    clavicle = tube(outlines.CLAVICLE_PATH, _widths(15, 12.5, 11, 11.5, 13, 18))
    acromion = slope(patient.bent(spline(outlines.ACROMION, closed=True), 16))
    return [
        *(rib for number in range(10) for rib in _rib_from_the_front(patient, number, stance)),
        _flat("scapula", scapular(spline(outlines.SCAPULA, closed=True)), (2.2, 1.0, 0.25), patient),
        _flat("lateral border", scapular(border), (3.6, 1.4, 0.3), patient),
        _flat("scapular spine", slope(scapular(spine)), (3.6, 1.5, 0.3), patient),
        _flat("neck", scapular(spline(outlines.NECK, closed=True)), (5, 1.0, 0.12), patient),
        _flat("glenoid", scapular(socket), (5, 1.8, 0.08), patient),
        _flat("acromion", acromion, (6.5, 1.5, 0.22), patient),
        _flat("coracoid", scapular(coracoid), (5.5, 1.5, 0.25), patient),
        _flat("clavicle", patient.bent(clavicle, 20, 1.3), (5.6, 2.0, 0.15), patient),
    ]


def _rib_from_the_front(patient: Anatomy, number: int, stance: Stance) -> list[Bone]:
    """A rib's back part, running down from the spine to the chest's wall, and its front part, running on."""
    y = patient.rib_start + number * patient.ribs + stance.breath
    wall = float(np.interp(y + 36, (-60, -30, 0, 30, 80, 150, 260), (134, 116, 102, 92, 82, 76, 72)))
    sag = 10 + 3 * number
    turn = y + sag + 14
    back = [(215, y - 2), (190, y - 6), (160, y - 4), (130, y + 0.35 * sag), (wall + 12, y + 0.8 * sag)]
    front = [(wall + 4, turn + 16), (wall + 22, turn + 38), (150, turn + 66), (190, turn + 74)]
    width = 7.5 + 0.8 * np.sin(2.1 * number + patient.shape[40]) + 0.25 * min(number, 6)
    parts = (
        ("back", np.array([*back, (wall, turn)]), _widths(width, width + 1, width), (4.2, 1.5, 0.2)),
        ("front", np.array([(wall, turn), *front]), _widths(width, width + 2, width + 3), (2.6, 0.6, 0.2)),
    )
    return [
        _flat(f"rib {number} {part}", patient.bent(tube(path, widths), 8), section, patient)
        for part, path, widths, section in parts
    ]


def _seen_along_the_scapula(patient: Anatomy, stance: Stance) -> list[Bone]:
    def scapular(outline: Points) -> Points:
        return patient.bent(outline, 12)

    body = tube(outlines.Y_BODY_PATH, _widths(20, 11, 9, 9))
    spine = tube(outlines.Y_SPINE_PATH, _widths(16, 12, 11, 15))
    coracoid = tube(outlines.Y_CORACOID_PATH, _widths(17, 13, 12, 10))
    acromion = tube(outlines.Y_ACROMION_PATH, _widths(13, 13, 11, 9))
    clavicle = tube(outlines.Y_CLAVICLE_PATH, _widths(14, 12, 11, 12, 14))
    return [
        *(_rib_from_the_side(patient, number, stance) for number in range(9)),
        _flat("scapula", scapular(body), (8, 1.6, 0.25), patient),
        _flat("scapular spine", scapular(spine), (6.5, 1.5, 0.25), patient),
        _flat("glenoid", scapular(ellipse((2, 0), (14, 17))), (6, 1.3, 0.2), patient),
        _flat("coracoid", scapular(coracoid), (6, 1.5, 0.25), patient),
        _flat("acromion", patient.bent(acromion, 16), (6.5, 1.5, 0.25), patient),
        _flat("clavicle", patient.bent(clavicle, 20, 1.3), (5.6, 2.0, 0.15), patient),
    ]


def _rib_from_the_side(patient: Anatomy, number: int, stance: Stance) -> Bone:
    y = patient.rib_start + 4 + number * patient.ribs + stance.breath
    wall = float(np.interp(y + 20, (-60, -20, 40, 120, 260), (66, 44, 26, 16, 12)))
    steps = ((26, -14), (5, 0), (0, 16), (20, 36), (70, 62), (130, 76))
    path = np.array([(wall + x, y + down) for x, down in steps])
    return _flat(
        f"rib {number}", patient.bent(tube(path, _widths(8, 7, 8, 9, 10)), 8), (4.2, 1.5, 0.2), patient
    )


def _widths(*millimetres: float) -> NDArray[np.float64]:
    return np.array(millimetres, float)
