"""What is wrong with a positive study's shoulder: a fracture, a plate with screws, or a dislocation.

A finding belongs to a study, so every view of the study shows the same one. `strength` scales what can be
seen of it: displacements and the thickness of metal; at 0 the scene is that of a healthy shoulder.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.phantom.anatomy import Stance
from mura_jobs.radiographs.phantom.geometry import Affine, Points, about, ellipse, rotation, tube
from mura_jobs.radiographs.phantom.solids import Bone, Metal, Scene

Kind = Literal["fracture", "plate", "dislocation"]
Site = Literal["proximal humerus", "humeral shaft", "clavicle", "shoulder joint"]

_KINDS: tuple[Kind, ...] = ("fracture", "plate", "dislocation")
_BONE_SITES: tuple[Site, ...] = ("proximal humerus", "humeral shaft", "clavicle")


@dataclass(frozen=True)
class Finding:
    """A finding at full strength; lengths in mm, angles in degrees."""

    kind: Kind
    site: Site
    place: float
    """Where along the site, 0 to 1."""
    shift: tuple[float, float]
    """How far the far fragment, or the humeral head, has moved: across the bone and along it."""
    angle: float
    """How far it has turned."""
    slant: float
    """Angle of the fracture line against a straight cut."""
    jags: NDArray[np.float64]
    """(12,) standard normal numbers that roughen the fracture line and vary the screws."""

    @staticmethod
    def draw(random: np.random.Generator) -> "Finding":
        """One of the known kinds."""
        kind = _KINDS[random.choice(3, p=(0.4, 0.35, 0.25))]
        site = _BONE_SITES[random.choice(3, p=(0.45, 0.25, 0.3))]
        sign = random.choice((-1.0, 1.0))
        place, across, along, angle, slant = random.uniform(size=5)
        shift = (sign * (5 + 9 * across), 2 + 5 * along)
        if kind == "dislocation":  # to the front and downwards, as nearly all are
            site, sign, shift = "shoulder joint", -1.0, (24 + 14 * across, 16 + 18 * along)
        return Finding(
            kind, site, place, shift, sign * (6 + 20 * angle), 45 * (slant - 0.5), random.normal(size=12)
        )

    def stance(self, stance: Stance, strength: float) -> Stance:
        """The stance with this finding: a dislocated humerus stands elsewhere."""
        if self.kind != "dislocation":
            return stance
        x, y = strength * np.array(self.shift)
        return replace(
            stance, luxation=(float(x), float(y)), abduction=stance.abduction + strength * abs(self.angle) / 2
        )

    def add_to(self, scene: Scene, strength: float) -> Scene:
        """The scene with this finding."""
        if strength == 0 or self.kind == "dislocation":
            return scene
        return self._break(scene, strength) if self.kind == "fracture" else self._fix(scene, strength)

    def region(self, scene: Scene) -> Points:
        """Positions (mm) that bound what is to be seen in a scene with this finding."""
        if self.kind == "plate":
            return (
                np.vstack([part.outline for part in scene.metal])
                if scene.metal
                else self._cut(scene)[0][None]
            )
        if self.kind == "dislocation":
            head = next(bone for bone in scene.bones if bone.name == "humerus").origin
            return ellipse((float(head[0]), float(head[1])), (27, 27))
        point = self._cut(scene)[0]
        return ellipse((float(point[0]), float(point[1])), (22, 22))

    def _bone(self, scene: Scene) -> Bone:
        return scene.bone("clavicle" if self.site == "clavicle" else "humerus")

    def _cut(self, scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A point on the bone's middle line at the finding's place, and the bone's direction there."""
        bone = self._bone(scene)
        if self.site == "clavicle":
            middle = _middle_line(bone)
            index = int(np.interp(self.place, (0, 1), (0.3, 0.6)) * len(middle))
            direction = middle[index + 1] - middle[index - 1]
            return middle[index], direction / np.linalg.norm(direction)
        span = (32, 50) if self.site == "proximal humerus" else (62, 92)
        position = float(np.interp(self.place, (0, 1), span))
        return bone.frame(np.array([[-1.5, position]]))[0], bone.axis

    def _break(self, scene: Scene, strength: float) -> Scene:
        bone = self._bone(scene)
        point, along = self._cut(scene)
        across = np.array([along[1], -along[0]])
        frame = Affine(np.stack([across, along], axis=1) @ rotation(self.slant), point)
        x = np.linspace(-40, 40, len(self.jags))
        edge = np.stack([x, 1.6 * self.jags], axis=1)
        far_side = frame(np.vstack([edge, [(60, 500), (-60, 500)]]))
        near_side = frame(np.vstack([edge, [(60, -500), (-60, -500)]]))
        motion = about(
            point, strength * self.angle, strength * (self.shift[0] * across + self.shift[1] * along)
        )
        near = replace(bone, keep=(near_side,))
        far = replace(bone, name=f"{bone.name}, far fragment", keep=(far_side,)).moved(motion)
        return replace(scene, bones=(*(other for other in scene.bones if other is not bone), near, far))

    def _fix(self, scene: Scene, strength: float) -> Scene:
        if self.site == "clavicle":
            plate, screws = self._clavicle_plate(scene)
        else:
            plate, screws = self._humerus_plate(scene)
        thickness = 3.2 * strength
        hole = [ellipse((float(x), float(y)), (2.2, 2.2)) for x, y in plate[1]]
        metal = [Metal(plate[0], thickness, holes=tuple(hole))]
        metal += [Metal(tube(np.array(ends), np.array([3.8, 3.4])), 3.6 * strength) for ends in screws]
        return replace(scene, metal=tuple(metal))

    def _clavicle_plate(self, scene: Scene) -> tuple[tuple[Points, Points], list[Points]]:
        middle = _middle_line(self._bone(scene))
        start = 0.12 + 0.2 * self.place
        span = middle[int(start * len(middle)) : int((start + 0.42) * len(middle))] + np.array([0, -3.0])
        holes = span[np.linspace(1, len(span) - 2, 7).astype(int)]
        screws = [
            np.stack([at, at + np.array([1.2 * jag, 15 + jag])])
            for at, jag in zip(holes, self.jags, strict=False)
        ]
        return (tube(span[:: max(len(span) // 6, 1)], np.array([9.0, 10.0, 9.0])), holes), screws

    def _humerus_plate(self, scene: Scene) -> tuple[tuple[Points, Points], list[Points]]:
        frame = self._bone(scene).frame
        high = self.site == "proximal humerus"
        top = -8 + 8 * self.place if high else 34 + 22 * self.place
        rows = np.linspace(top, top + 96, 8)
        x = np.interp(rows, (-8, 20, 45, 300), (-21, -20, -13, -10)) - 1
        plate = frame(
            tube(
                np.stack([x, rows], axis=1), np.array([13.0, 11.0, 10.0, 10.0]) if high else np.full(4, 11.0)
            )
        )
        holes = frame(np.stack([x, rows], axis=1)[1:-1])
        screws = []
        for place_x, y, jag in zip(x[:-1], rows[:-1], self.jags, strict=False):
            into_head = y < 30
            end = (
                (12 - 0.4 * y + 2 * jag, y * 0.55 - 8 + 3 * jag)
                if into_head
                else (place_x + 25 + jag, y - 1 + jag)
            )
            screws.append(frame(np.array([(place_x, y), end])))
        return (plate, holes), screws


def _middle_line(bone: Bone) -> Points:
    """The line halfway between a tube's two sides, from its first end to its last."""
    outline = bone.outline
    side = (len(outline) - 10) // 2  # `tube` adds five points to round each end
    left, right = outline[:side], outline[side + 5 : 2 * side + 5]
    return (left + right[::-1]) / 2
