"""What cleaning did to the real radiographs, and how sure it is of it."""

from typing import Any

import numpy as np
import pandas as pd

from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact
from mura_jobs.report.pictures import Picture

STEPS = {
    "photometry inverted": "inverted_confidence",
    "cropped to the exposed field": "field_confidence",
    "straightened": "rotation_confidence",
    "with side markers": "markers_confidence",
    "exposure normalised": "window_confidence",
}
"""Each step as the page names it, and the column that says how sure it is."""

LISTED = 12
"""Radiographs that are listed by key."""

_DONE = ("inverted", "rotation", "markers", "field_width", "field_height", "raw_width", "raw_height")
_COLUMNS = (*_DONE, "window_black", "window_white", "raw_brightness", "brightness", "confidence")


def cleaning_facts(index: pd.DataFrame, place: str) -> dict[str, Any]:
    """Plain values for `report.json`.

    Args:
        index: of the real data set.
        place: where it comes from, for errors.

    Raises:
        InputError: the index doesn't say how sure cleaning was.
    """
    missing = [column for column in (*_COLUMNS, *STEPS.values()) if column not in index]
    if missing:
        raise InputError(f"{place}: the index has no column {', '.join(missing)}; preprocess it again")
    done = dict(zip(STEPS, _done(index), strict=True))
    confidences = index[list(STEPS.values())]
    least = np.lexsort((index["key"].astype(str), index["confidence"]))[:LISTED]
    keys, confidence = index["key"].tolist(), index["confidence"].to_numpy(np.float64)
    return {
        "images": len(index),
        "steps": [
            {
                "step": step,
                "images": int(done[step].sum()),
                "share": _mean(done[step]),
                "confidence_median": float(index[column].median()),
                "confidence_low": float(index[column].quantile(0.05)),
            }
            for step, column in STEPS.items()
        ],
        "markers_by_label": {
            label: _mean(done["with side markers"][index["label"] == label])
            for label in sorted(index["label"].unique())
        },
        "brightness": {
            name: {"mean": float(index[column].mean()), "deviation": float(index[column].std(ddof=0))}
            for name, column in (("before", "raw_brightness"), ("after", "brightness"))
        },
        "confidence_median": float(index["confidence"].median()),
        "least_certain": [
            {
                "key": keys[row],
                "confidence": float(confidence[row]),
                "weakest_step": list(STEPS)[int(confidences.iloc[row].to_numpy().argmin())],
                "done": [step for step in STEPS if done[step].iloc[row]],
            }
            for row in least.tolist()
        ],
    }


def cleaning_picture(artifact: Artifact) -> Picture:
    """The preview that `preprocess` made."""
    return Picture(
        name="cleaning.png",
        data=artifact.read("preview.png"),
        alt="Pairs of radiographs before and after cleaning, and histograms of all their brightness",
        caption=(
            "The radiographs whose cleaning is least certain, each before (left) and after (right), with its "
            "confidence and what was done; below, the mean grey of all radiographs before and after"
        ),
    )


def _done(index: pd.DataFrame) -> tuple[pd.Series, ...]:
    """In the order of STEPS, to which radiographs each was done."""
    return (
        index["inverted"].astype(bool),
        (index["field_width"] < index["raw_width"]) | (index["field_height"] < index["raw_height"]),
        index["rotation"] != 0,
        index["markers"] > 0,
        (index["window_black"] > 0) | (index["window_white"] < 1),
    )


def _mean(series: pd.Series) -> float:
    return float(series.mean()) if len(series) else 0.0
