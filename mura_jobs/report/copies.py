"""The same picture twice: what `preprocess` found of it, and whether any of it blurs the test."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd

from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact
from mura_jobs.radiographs.leaks import COLUMNS, DUPLICATES
from mura_jobs.radiographs.packed import Packed
from mura_jobs.report.pictures import Picture, grid

LISTED = 12
"""Pairs that are listed and shown."""

_OTHER = tuple(f"other_{name}" for name in COLUMNS)
_NEEDED = (*COLUMNS, *_OTHER, "copy", "dropped")
_TILE = 192


def read_pairs(preprocess: Artifact) -> pd.DataFrame:
    """The pairs of copies that `preprocess` listed, those that blur the test first.

    Raises:
        InputError: it listed none, not even no pairs.
    """
    if DUPLICATES not in preprocess.names:
        raise InputError(f"{preprocess.prefix}: no {DUPLICATES} in it; preprocess it again")
    pairs = pd.read_csv(BytesIO(preprocess.read(DUPLICATES)), dtype=str, keep_default_na=False)
    missing = [column for column in _NEEDED if column not in pairs]
    if missing:
        raise InputError(f"{preprocess.prefix}: {DUPLICATES} has no column {', '.join(missing)}")
    order = np.lexsort((pairs["split"] == pairs["other_split"], ~_with_test(pairs), ~_left_in(pairs)))
    return pairs.iloc[order].reset_index(drop=True)


def copied_tests(real: pd.DataFrame, digests: Mapping[str, str], pairs: pd.DataFrame) -> list[str]:
    """Keys of test images that are in train or select too, under another patient's name.

    Args:
        real: the real data set's index.
        digests: digest of each real image's pixels, by key: they may be equal after cleaning alone.
        pairs: as `read_pairs` gives them.
    """
    digest = real["key"].map(digests)
    test = real["split"] == "test"
    equal = set(real.loc[test & digest.isin(set(digest[~test])), "key"])
    alike = pairs[_with_test(pairs) & _left_in(pairs)]
    return sorted(equal | set(alike["key"].where(alike["split"] == "test", alike["other_key"])))


def copy_facts(pairs: pd.DataFrame, copied: list[str]) -> dict[str, Any]:
    """Plain values for `report.json`."""
    gone = _gone(pairs)
    listed = pairs[[*COLUMNS, *_OTHER, "copy"]].iloc[:LISTED].to_dict("records")
    return {
        "pairs": len(pairs),
        "across_splits": int((pairs["split"] != pairs["other_split"]).sum()),
        "with_test": int(_with_test(pairs).sum()),
        "labels_differ": int((pairs["label"] != pairs["other_label"]).sum()),
        "left_out": len(gone),
        "test_images": len(copied),
        "listed": [
            pair | {"left_out": [key for key in (pair["key"], pair["other_key"]) if key in gone]}
            for pair in listed
        ],
    }


def copy_pictures(pairs: pd.DataFrame, real: Packed) -> list[Picture]:
    """The listed pairs of which neither was left out, side by side."""
    row_of = {key: row for row, key in enumerate(real.index["key"].tolist())}
    shown = pairs[_left_in(pairs) & (pairs.index < LISTED)]
    return [
        Picture(
            name=f"copy-{number:02d}.png",
            data=grid(real.images(np.array([row_of[key], row_of[other]])), 2, _TILE),
            alt=f"Two radiographs that are the same picture: {key} and {other}",
            caption=f"{number}: {copy}",
        )
        for number, key, other, copy in zip(
            shown.index + 1, shown["key"], shown["other_key"], shown["copy"], strict=True
        )
    ]


def _with_test(pairs: pd.DataFrame) -> "pd.Series[bool]":
    """Of which pairs one, and only one, is a test image."""
    return (pairs["split"] == "test") ^ (pairs["other_split"] == "test")


def _gone(pairs: pd.DataFrame) -> set[str]:
    """Keys that were left out, be it for another pair."""
    return set(pairs["dropped"]) - {""}


def _left_in(pairs: pd.DataFrame) -> "pd.Series[bool]":
    """Of which pairs both are in the data set."""
    gone = _gone(pairs)
    return ~(pairs["key"].isin(gone) | pairs["other_key"].isin(gone))
