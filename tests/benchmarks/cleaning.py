"""How often cleaning is right on phantoms, whose truth is known.

    python -m tests.benchmarks.cleaning                   # 400 pictures at each of three noise levels
    python -m tests.benchmarks.cleaning --pictures 100 --seed 3

Intervals hold 95 %: Wilson's for shares, the bootstrap's (percentiles, 2,000 resamples) for medians and
percentiles. A marker counts as found where at least half of its ink's box is covered by boxes found, and a
box found as right where at least half of it lies within 4 pixels of one; markers of which less than a third
is in the field count neither way. Thresholds and weights were chosen on other seeds.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import process_time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from mura_jobs.radiographs.cleaning.clean import clean
from mura_jobs.radiographs.cleaning.field import Field
from mura_jobs.radiographs.config import CleaningConfig, PhantomConfig
from mura_jobs.radiographs.phantom.draw import Truth, draw_image, plan_study
from tests.radiographs.drawing import grey, overlap

NOISE = (0.5, 1.0, 2.0)
"""Quantum noise against a usual exposure's."""
VISIBLE = 1 / 3
"""Share of a marker in the field below which it counts neither way."""
NEAR = 4
"""Pixels by which the ink's box is widened for this."""
SEED = 9_000


@dataclass(frozen=True)
class Outcome:
    """One picture cleaned, against its truth."""

    truth: Truth
    inverted: bool
    overlap: float
    """Intersection over union of the field found and the true one."""
    rotation_error: float
    """Degrees."""
    boxes_right: tuple[bool, ...]
    marker_found: bool | None
    """None where there is none to be found."""
    confidence: float
    right: bool
    """Photometry, field (at 0.95), rotation (at 1°) and markers."""


def outcomes(config: PhantomConfig, number: int) -> Iterator[Outcome]:
    """The first picture of each of so many patients."""
    for patient in range(1, number + 1):
        pixels, truth = draw_image(config, plan_study(config, patient, 1), 1)
        yield judge(grey(pixels), truth)


def judge(picture: NDArray[np.float32], truth: Truth) -> Outcome:
    """Clean a picture and compare."""
    _, record = clean(picture, 256, CleaningConfig())
    found = Field(
        record.field_x, record.field_y, record.field_width, record.field_height, record.rotation, 1.0
    )
    share = overlap(found.corners(), np.array(truth.field).reshape(4, 2), picture.shape)
    turned = abs(record.rotation - truth.rotation)
    boxes = [tuple(float(v) for v in box.split()) for box in record.marker_boxes.split("; ") if box]
    ink = truth.marker_box
    around = ink and (ink[0] - NEAR, ink[1] - NEAR, ink[2] + NEAR, ink[3] + NEAR)
    right = tuple(around is not None and _common(box, around) >= 0.5 * _area(box) for box in boxes)
    seen: bool | None = None
    if ink is None or truth.marker_visible < VISIBLE:
        right = right if ink is None else ()
    else:
        covered = np.zeros(picture.shape, bool)
        for left, top, end, bottom in boxes:
            covered[int(top) : int(bottom), int(left) : int(end)] = True
        seen = bool(covered[ink[1] : ink[3], ink[0] : ink[2]].mean() >= 0.5)
    good = record.inverted == truth.inverted and share >= 0.95 and turned <= 1
    return Outcome(
        truth,
        record.inverted == truth.inverted,
        share,
        turned,
        right,
        seen,
        record.confidence,
        good and all(right) and seen is not False,
    )


def _common(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(width, 0.0) * max(height, 0.0)


def _area(box: tuple[float, ...]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def share(hits: list[bool]) -> str:
    """A share of yes with Wilson's interval, in percent, and the count."""
    if not hits:
        return "–"
    low, high = proportion_confint(sum(hits), len(hits), method="wilson")
    return f"{np.mean(hits):.1%} ({low:.1%}–{high:.1%}), n = {len(hits)}"


def statistic(values: list[float], of: Callable[..., Any]) -> str:
    """A statistic with the bootstrap's interval."""
    if not values:
        return "–"
    array = np.array(values)
    rows = np.random.default_rng(0).integers(len(array), size=(2000, len(array)))
    low, high = np.percentile(of(array[rows], axis=1), (2.5, 97.5))
    return f"{of(array):.3f} ({low:.3f}–{high:.3f})"


def _p95(values: NDArray[np.float64], axis: int | None = None) -> Any:  # noqa: ANN401 - as NumPy's
    return np.percentile(values, 95, axis=axis)


def rows(done: list[Outcome]) -> dict[str, str]:
    """A column of the table."""
    cut = [o for o in done if o.truth.framing != "full"]
    turned = [o for o in cut if o.truth.rotation != 0]
    return {
        "inversion right": share([o.inverted for o in done]),
        "of inverted pictures": share([o.inverted for o in done if o.truth.inverted]),
        "field IoU, median": statistic([o.overlap for o in done], np.median),
        "… of fields with a surround, median": statistic([o.overlap for o in cut], np.median),
        "field IoU ≥ 0.95": share([o.overlap >= 0.95 for o in done]),
        "… upright, with a surround": share([o.overlap >= 0.95 for o in cut if o.truth.rotation == 0]),
        "… turned fields": share([o.overlap >= 0.95 for o in turned]),
        "… full frames": share([o.overlap >= 0.95 for o in done if o.truth.framing == "full"]),
        "rotation error, turned fields (°): median": statistic([o.rotation_error for o in turned], np.median),
        "… 95th percentile": statistic([o.rotation_error for o in turned], _p95),
        "upright fields left upright": share([o.rotation_error <= 1 for o in done if o.truth.rotation == 0]),
        "markers: precision": share([hit for o in done for hit in o.boxes_right]),
        "markers: recall": share([o.marker_found for o in done if o.marker_found is not None]),
        "a box without any marker": share([bool(o.boxes_right) for o in done if o.truth.marker is None]),
        "a wrong box beside an implant": share(
            [not all(o.boxes_right) for o in done if o.truth.finding == "plate"]
        ),
        "all steps right": share([o.right for o in done]),
        "… of the half with higher confidence": share(
            [o.right for o in sorted(done, key=lambda o: -o.confidence)[: len(done) // 2]]
        ),
    }  # fmt: skip


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=400, help="pictures at each noise level")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    columns = [
        rows(list(outcomes(PhantomConfig(seed=options.seed + n, noise=noise), options.pictures)))
        for n, noise in enumerate(NOISE)
    ]
    print("| | " + " | ".join(f"noise {noise:g}" for noise in NOISE) + " |")
    print("|---|" + "---|" * len(NOISE))
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(column[name] for column in columns) + " |")
    print(f"\n{speed(options.seed):.0f} pictures a second on one core, 512 → 256")


def speed(seed: int, number: int = 60) -> float:
    """Pictures cleaned per second of one core's time, decoding not counted."""
    config = PhantomConfig(seed=seed)
    drawn = [grey(draw_image(config, plan_study(config, p, 1), 1)[0]) for p in range(1, number + 1)]
    start = process_time()
    for picture in drawn:
        clean(picture, 256, CleaningConfig())
    return number / (process_time() - start)


if __name__ == "__main__":
    main()
