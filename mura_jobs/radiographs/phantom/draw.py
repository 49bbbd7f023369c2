"""One generated radiograph with its truth."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mura_jobs.job.config import Label
from mura_jobs.job.randomness import numpy_stream
from mura_jobs.radiographs.config import PhantomConfig
from mura_jobs.radiographs.phantom.anatomy import VIEWS, Anatomy, Stance, View
from mura_jobs.radiographs.phantom.findings import Finding
from mura_jobs.radiographs.phantom.flaws import Flaws, field_mask, lay, picture_shape
from mura_jobs.radiographs.phantom.geometry import Affine, Grid, Image, Points
from mura_jobs.radiographs.phantom.marker import marker_masks, within
from mura_jobs.radiographs.phantom.physics import develop, optical_depth
from mura_jobs.radiographs.phantom.solids import Scene
from mura_jobs.radiographs.phantom.views import scene


@dataclass(frozen=True)
class StudyPlan:
    """What a study is, before any picture of it is drawn."""

    patient: int
    """Number of the patient, unique in the data set."""
    study: int
    label: Label
    side: str
    """"R" or "L"."""
    views: tuple[View, ...]
    """One for each image."""


@dataclass(frozen=True)
class Truth:
    """What is known about one picture. Boxes are (left, top, right, bottom) in pixels, None for nothing."""

    side: str
    view: View
    finding: str | None
    site: str | None
    strength: float
    finding_box: tuple[int, int, int, int] | None
    inverted: bool
    framing: str
    field: tuple[float, ...]
    """x, y of the exposed field's four corners, clockwise from its own top left."""
    crop_box: tuple[int, int, int, int]
    rotation: float
    """Degrees by which the field lies turned in the picture, clockwise."""
    quarter_turns: int
    brightness: str
    marker: str | None
    marker_box: tuple[int, int, int, int] | None
    """What of the marker's ink lies in the field."""
    marker_visible: float
    """Share of the marker's ink that lies in the field, 0 to 1; 0 without a marker."""


def plan_study(config: PhantomConfig, patient: int, study: int) -> StudyPlan:
    """Draw the plan of a study; nothing but the label depends on the share of positive studies."""
    random = numpy_stream(config.seed, "phantom-study", patient, study)
    views = tuple(VIEWS[index] for index in (*random.permutation(3), 0))
    images = int(random.choice(4, p=(0.2, 0.25, 0.4, 0.15))) + 1
    side = "R" if random.uniform() < 0.5 else "L"
    label = numpy_stream(config.seed, "phantom-label", patient, study).uniform() < config.positive_fraction
    return StudyPlan(patient, study, "positive" if label else "negative", side, views[:images])


def draw_image(config: PhantomConfig, study: StudyPlan, image: int) -> tuple[NDArray[np.uint8], Truth]:
    """Draw image number `image` (from 1) of a study.

    Returns:
        The picture, uint8 of shape (height, width) or (height, width, 3), and what is known about it.
    """
    names = (study.patient, study.study)
    anatomy = Anatomy.draw(numpy_stream(config.seed, "phantom-anatomy", study.patient))
    view = study.views[image - 1]
    stance = Stance.draw(view, numpy_stream(config.seed, "phantom-stance", *names, image))
    flaws = Flaws.draw(
        numpy_stream(config.seed, "phantom-flaws", *names, image),
        flaws=config.flaws,
        noise=config.noise,
        side=study.side,
    )
    finding = None
    if study.label == "positive":
        finding = Finding.draw(numpy_stream(config.seed, "phantom-finding", *names))
        healthy = scene(anatomy, finding.stance(stance, config.strength))
        shown = finding.add_to(healthy, config.strength)
    else:
        shown = scene(anatomy, stance)

    shape = picture_shape(flaws, config.long_side)
    finer = 2 if config.long_side <= 256 else 1  # small pictures are drawn at twice their size and averaged
    large = (shape[0] * finer, shape[1] * finer)
    size = Affine(np.eye(2) * anatomy.size, np.zeros(2))
    laid = lay(flaws, large, mirrored=study.side == "L")
    grid = Grid(laid.to_px @ size, large)
    grey, marker = _picture(shown, grid, flaws, numpy_stream(config.seed, "phantom-quanta", *names, image))
    if finer > 1:
        grey = np.asarray(cv2.resize(grey, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
    pixels = np.round(np.clip(grey, 0, 1) * 255).astype(np.uint8)
    if flaws.inverted:
        pixels = 255 - pixels

    corners = flaws.field(shape)
    seen = None if marker is None else within(marker / finer, corners)
    region = None if finding is None else grid.to_px(finding.region(shown)) / finer
    truth = Truth(
        side=study.side,
        view=view,
        finding=None if finding is None else finding.kind,
        site=None if finding is None else finding.site,
        strength=config.strength,
        finding_box=None if region is None else _box(region, shape),
        inverted=flaws.inverted,
        framing=flaws.framing,
        field=tuple(float(v) for v in flaws.field(shape).ravel()),
        crop_box=_box(flaws.field(shape), shape) or (0, 0, shape[1], shape[0]),
        rotation=flaws.rotation,
        quarter_turns=flaws.quarter_turns,
        brightness=flaws.brightness,
        marker=None if flaws.marker is None else " ".join(flaws.marker.text),
        marker_box=None if marker is None or seen is None else _box(marker[seen] / finer, shape),
        marker_visible=0.0 if seen is None else float(seen.mean()),
    )
    for _ in range(flaws.quarter_turns):
        pixels, truth = np.ascontiguousarray(np.rot90(pixels, -1)), _quarter_turned(truth, pixels.shape[0])
    return (np.stack([pixels] * 3, axis=-1) if flaws.rgb else pixels), truth


def _picture(
    shown: Scene, grid: Grid, flaws: Flaws, random: np.random.Generator
) -> tuple[Image, Points | None]:
    """Grey values (0 to 1) before inversion, and the points of the marker's ink in pixels."""
    field = field_mask(flaws, grid.shape)
    depth = optical_depth(shown, grid, random)
    ink = plate = np.zeros(grid.shape, np.float32)
    outline = None
    if flaws.marker is not None:
        ink, plate, outline = marker_masks(flaws.marker, flaws.field(grid.shape), grid.shape)
        if flaws.marker.ink is None:
            depth = depth + flaws.marker.lead * ink
    grey = develop(depth, field, flaws.exposure, grid, random)
    if flaws.marker is not None and flaws.marker.ink is not None:
        grey = grey * (1 - plate)
        grey = grey * (1 - ink) + flaws.marker.ink * ink
    if flaws.surround is not None:
        grey = grey * field + flaws.surround * (1 - field)
    return grey, outline


def _box(points: Points, shape: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The part of the points' bounding box that lies in the picture; None if nothing does."""
    if not len(points):
        return None
    low = np.maximum(np.floor(points.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(points.max(axis=0)), (shape[1], shape[0])).astype(int)
    return (int(low[0]), int(low[1]), int(high[0]), int(high[1])) if (low < high).all() else None


def _quarter_turned(truth: Truth, height: int) -> Truth:
    """The truth after the picture, `height` pixels high, was turned by 90° clockwise."""

    def turn(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        return height - box[3], box[0], height - box[1], box[2]

    corners = np.array(truth.field).reshape(4, 2)
    field = np.roll(np.stack([height - corners[:, 1], corners[:, 0]], axis=1), 1, axis=0)
    return replace(
        truth,
        field=tuple(float(v) for v in field.ravel()),
        crop_box=turn(truth.crop_box),
        finding_box=truth.finding_box and turn(truth.finding_box),
        marker_box=truth.marker_box and turn(truth.marker_box),
    )
