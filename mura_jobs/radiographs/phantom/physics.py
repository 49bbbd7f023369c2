"""From solids to grey values: attenuation, scatter, quantum noise and the film's curve."""

from dataclasses import dataclass

import cv2
import numpy as np

from mura_jobs.radiographs.phantom.geometry import Affine, Grid, Image, Points, chord, depth_under
from mura_jobs.radiographs.phantom.solids import Scene

# Linear attenuation (1/mm) at about 50 keV, the effective energy of a 75 kV beam (NIST XCOM): soft
# tissue 0.02, cortical bone 0.08 (0.058 above the tissue whose place it takes), titanium 0.45. Fat takes a
# tenth less than muscle, an inflated lung about 0.3 of it.
_SOFT, _MINERAL, _METAL = 0.020, 0.058, 0.45
_FAT, _LUNG = 0.90, 0.30
_PHOTONS = 8000.0  # detected quanta per mm² of the unattenuated beam, at noise 1


@dataclass(frozen=True)
class Exposure:
    """How one picture was taken and developed."""

    scatter: float
    """Scattered against primary radiation (0.2 with a good grid to 1.5 without)."""
    heel: tuple[float, float]
    """Relative slope of the beam's intensity over the picture's width and height."""
    blur: float
    """Radius (mm) of focal spot and detector."""
    black: float
    """Optical depth (in e-foldings) that is shown black."""
    latitude: float
    """e-foldings from black to white."""
    gamma: float
    """Exponent of the display curve; below 1 the tissue is bright, above 1 dark."""
    noise: float
    """Quantum noise against a usual exposure's."""


def optical_depth(scene: Scene, grid: Grid, random: np.random.Generator) -> Image:
    """Attenuation of the beam in e-foldings at each pixel (Beer–Lambert), shape (height, width)."""
    trabeculae = 1 + 0.22 * _cloud(random, grid, 1.2) + 0.16 * _cloud(random, grid, 5.0)
    mineral = np.zeros(grid.shape, np.float32)
    for bone in scene.bones:
        bone.add_to(mineral, grid, trabeculae)
    metal = np.zeros(grid.shape, np.float32)
    for part in scene.metal:
        part.add_to(metal, grid)
    tissue = _soft_tissue(scene, grid, random)
    return np.asarray(tissue * _SOFT + mineral * _MINERAL + metal * _METAL, np.float32)


def develop(depth: Image, field: Image, exposure: Exposure, grid: Grid, random: np.random.Generator) -> Image:
    """Grey values from 0 (black, much radiation) to 1 of an exposed field, shape (height, width).

    Args:
        depth: attenuation in e-foldings.
        field: 1 where the collimator lets the beam through, 0 elsewhere.
        exposure: how it was taken.
        grid: the pixel grid.
        random: the stream of the quantum noise.
    """
    height, width = grid.shape
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :]
    y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    beam = (1 + exposure.heel[0] * x + exposure.heel[1] * y) * field
    primary = beam * np.exp(-depth)
    from_patient = primary * np.minimum(depth, 2.0) * np.float32(0.5)
    signal = primary + exposure.scatter * _wide_blur(from_patient, 30.0 * grid.to_px.scale) + np.float32(1e-3)
    pixel_quanta = _PHOTONS / grid.to_px.scale**2
    sigma = exposure.noise * np.sqrt(signal / np.float32(pixel_quanta))
    noisy = signal + sigma * random.standard_normal(grid.shape, dtype=np.float32)
    sharp = max(exposure.blur * grid.to_px.scale, 0.3)
    blurred = cv2.GaussianBlur(noisy, (0, 0), sharp)
    grey = (-np.log(np.maximum(blurred, 1e-5)) - exposure.black) / exposure.latitude
    return _film_curve(np.asarray(grey, np.float32), exposure.gamma)


def _film_curve(grey: Image, gamma: float) -> Image:
    """A toe and a shoulder instead of hard ends: the characteristic curve of film and its digital heirs."""
    soft = np.where(grey < 0.1, 0.1 * np.exp(np.minimum(grey, 0.1) * 10 - 1), grey)
    soft = np.where(soft > 0.85, 1 - 0.15 * np.exp(-(np.maximum(soft, 0.85) - 0.85) / 0.15), soft)
    return np.asarray(soft**gamma, np.float32)


def _soft_tissue(scene: Scene, grid: Grid, random: np.random.Generator) -> Image:
    """Path (mm of muscle) through skin, fat, muscle and lung."""
    half = scene.half_thickness
    depth = _depth_under_skin(scene.body, grid, half)
    fat = np.clip((9 - depth) / 3, 0, 1)
    fibres = 1 + 0.035 * _cloud(random, grid, 22.0) + 0.02 * _cloud(random, grid, 8.0)
    fold = chord(_depth_under_skin((scene.arm,), grid, 40.0), 40.0)
    rise = 34.0
    muscle = chord(depth, rise) * (half / rise) * fibres * (1 - (1 - _FAT) * fat) + 0.16 * fold
    vessels = 1 + 0.05 * _cloud(random, grid, 9.0) + 0.04 * _cloud(random, grid, 3.0)
    air = chord(_depth_under_skin(scene.lung, grid, 40.0), 40.0) * vessels
    return np.asarray(muscle - (1 - _LUNG) * np.clip(air, 0, 0.75 * muscle), np.float32)


def _depth_under_skin(outlines: tuple[Points, ...], grid: Grid, reach: float) -> Image:
    """Distance (mm) to the edge of the outlines' union, right up to `reach`, computed on 1.2 mm pixels."""
    step = max(1.2 * grid.to_px.scale, 1.0)
    margin = int(np.ceil(reach * grid.to_px.scale / step)) + 2
    height, width = (int(np.ceil(side / step)) + 2 * margin for side in grid.shape)
    coarse = Grid(Affine(np.eye(2) / step, np.full(2, float(margin))) @ grid.to_px, (height, width))
    whole = (slice(0, height), slice(0, width))
    mask = np.zeros((height, width), np.uint8)
    for outline in outlines:
        mask |= coarse.fill(outline, whole)
    depth = cv2.GaussianBlur(depth_under(mask, coarse.to_px.scale), (0, 0), 0.8)
    back = np.array([[1 / step, 0, margin], [0, 1 / step, margin]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(depth, back, grid.shape[::-1], flags=flags), np.float32)


def _cloud(random: np.random.Generator, grid: Grid, millimetres: float) -> Image:
    """Smooth noise of about unit variance whose blobs are `millimetres` wide, shape (height, width)."""
    cell = max(millimetres * grid.to_px.scale, 1.0)
    height, width = (int(np.ceil(side / cell)) + 3 for side in grid.shape)
    noise = random.standard_normal((height, width), dtype=np.float32)
    shift = np.array([[1 / cell, 0, 1], [0, 1 / cell, 1]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(noise, shift, grid.shape[::-1], flags=flags), np.float32)


def _wide_blur(image: Image, radius: float) -> Image:
    """Gaussian blur of a large radius (px), computed on a small copy."""
    step = max(int(radius / 4), 1)
    height, width = image.shape
    small = cv2.resize(image, (max(width // step, 1), max(height // step, 1)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), radius / step)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
