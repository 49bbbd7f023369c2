"""What anatomy and findings are made of: bones, metal and soft tissue as outlines in millimetres."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mura_jobs.radiographs.phantom.geometry import Affine, Grid, Image, Points, chord, depth_under

Profile = NDArray[np.float64]
"""(n, 4) rows: position along the bone's axis, half thickness and cortex thickness, all in mm, and the
share of the inside that is bone (0.2 to 0.3 in spongy ends, below 0.1 in a marrow cavity)."""


@dataclass(frozen=True)
class Bone:
    """A cortical shell around a spongy or hollow inside."""

    name: str
    outline: Points
    origin: NDArray[np.float64]
    """A point (mm) from which the profile's positions count."""
    axis: NDArray[np.float64]
    """Unit vector along the bone."""
    profile: Profile
    density: float = 1.0
    """Mineral content against that of a healthy adult."""
    keep: tuple[Points, ...] = field(default=())
    """Only what lies inside all of these outlines is there: a fragment of a broken bone."""

    def moved(self, motion: Affine) -> "Bone":
        """The bone after a rigid motion."""
        return replace(
            self,
            outline=motion(self.outline),
            origin=motion(self.origin[None])[0],
            axis=motion.linear @ self.axis / motion.scale,
            keep=tuple(motion(outline) for outline in self.keep),
        )

    @property
    def frame(self) -> Affine:
        """From the bone's own frame, with the axis pointing down from the origin, to the scene's."""
        x, y = self.axis
        return Affine(np.array([[y, x], [-x, y]]), self.origin)

    def add_to(self, mineral: Image, grid: Grid, texture: Image) -> None:
        """Add the path through mineral (mm of dense bone), with `texture` (about 1) on the inside."""
        window = grid.window(self.outline)
        if window is None:
            return
        depth = depth_under(grid.fill(self.outline, window), grid.to_px.scale)
        position = grid.along(self.origin, self.axis, window)
        radius, cortex, filling = (
            np.interp(position, self.profile[:, 0], column).astype(np.float32)
            for column in self.profile.T[1:]
        )
        whole = chord(depth, radius)
        inside = chord(np.maximum(depth - cortex, 0), np.maximum(radius - cortex, 0.1))
        path = whole - inside + inside * filling * texture[window]
        for outline in self.keep:
            path *= grid.fill(outline, window)
        mineral[window] += np.float32(self.density) * path


@dataclass(frozen=True)
class Metal:
    """An implant, or a marker of lead: flat, perhaps with holes."""

    outline: Points
    thickness: float
    """Thickness (mm) along the rays."""
    holes: tuple[Points, ...] = field(default=())

    def moved(self, motion: Affine) -> "Metal":
        """The implant after a rigid motion."""
        return replace(self, outline=motion(self.outline), holes=tuple(motion(hole) for hole in self.holes))

    def add_to(self, metal: Image, grid: Grid) -> None:
        """Add the path through metal (mm)."""
        window = grid.window(self.outline)
        if window is None:
            return
        mask = grid.fill(self.outline, window)
        for hole in self.holes:
            mask &= 1 - grid.fill(hole, window)
        metal[window] += np.float32(self.thickness) * mask


@dataclass(frozen=True)
class Scene:
    """All that stands in the beam for one view, in the frame of `outlines`."""

    bones: tuple[Bone, ...]
    body: tuple[Points, ...]
    """Outlines of trunk and arm, whose union is the skin."""
    half_thickness: float
    """Half the body's thickness (mm)."""
    lung: tuple[Points, ...]
    arm: Points
    """The arm's outline: where it lies over the trunk, its edge shows."""
    metal: tuple[Metal, ...] = field(default=())

    def bone(self, name: str) -> Bone:
        """The bone of this name."""
        return next(bone for bone in self.bones if bone.name == name)
