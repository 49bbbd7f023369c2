"""Duplicates in a data set: the same picture under two patients or in two splits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
import pandas as pd

from mura_jobs.errors import InputError
from mura_jobs.radiographs.duplicates import (
    SAME,
    Sketches,
    candidates,
    detail_correlation,
    hashes,
    variant_of,
    words_of,
)
from mura_jobs.radiographs.pool import parallel_map

DUPLICATES = "duplicates.csv"
"""One row for each pair, with what both were to be, how alike they are and which of them was dropped."""

COLUMNS = ("key", "patient", "split", "label")
"""Of both images of a pair; the second's have `other_` before them."""

_FOUND = ("distance", "detail", "copy", "dropped")
_BLOCK, _WORK = 1024, 128

Work = tuple[Sketches, Sketches, NDArray[np.int32]]


def find_duplicates(index: pd.DataFrame, sketches: Sequence[Sketches]) -> pd.DataFrame:
    """Pairs of images that are the same picture, of different patients or splits.

    Which part or process saw a picture makes no difference. Memory: 300 bytes an image, and 12 a candidate.

    Args:
        index: rows sorted by key, with `COLUMNS`.
        sketches: in the same order; read a few at a time.

    Returns:
        Rows in the order of their keys: `COLUMNS` of both, `distance` of their hashes (0 to 1), `detail`
        correlation (to 1), `copy` (what makes the other the first) and an empty `dropped`.
    """
    blocks = (range(start, min(start + _BLOCK, len(index))) for start in range(0, len(index), _BLOCK))
    hashed = np.concatenate([hashes(np.stack([sketches[n] for n in block])) for block in blocks])
    groups = np.asarray(index.groupby(["patient", "split"], sort=False).ngroup(), np.int64)
    found = candidates(hashed, groups)
    work = (
        (np.stack([sketches[n] for n in part[:, 0]]), np.stack([sketches[n] for n in part[:, 1]]), part)
        for part in (found[start : start + _WORK] for start in range(0, len(found), _WORK))
    )
    details = [value for part in parallel_map(_details, work) for value in part]
    rows = [
        _row(index, sketches, pair, detail)
        for pair, detail in zip(found.tolist(), details, strict=True)
        if detail >= SAME
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, *(f"other_{name}" for name in COLUMNS), *_FOUND])


def drop_duplicates(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same pairs with the key that is dropped of each, or nothing where neither may be.

    An image that is in `test` too is dropped from where it is not; of `train` and `select`, `train` loses it;
    two of `train` keep the one whose key comes first. `test` loses none, nor does `select` to itself.
    """
    gone: set[str] = set()
    dropped = []
    columns = (pairs[name].astype(str) for name in ("key", "split", "other_key", "other_split"))
    for key, split, other_key, other_split in zip(*columns, strict=True):
        splits = {split: key, other_split: other_key}
        victim = ""
        if gone.isdisjoint({key, other_key}):
            if len(splits) == 2:
                victim = splits["train"] if "train" in splits else splits["select"]
            elif split == "train":
                victim = other_key
        else:
            victim = key if key in gone else other_key
        gone |= {victim} - {""}
        dropped.append(victim)
    return pairs.assign(dropped=dropped)


def require_labels(before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Check that dropping left something of each split and label.

    Raises:
        InputError: naming the first that is gone.
    """
    kinds = [set(zip(table["split"], table["label"], strict=True)) for table in (before, after)]
    for split, label in sorted(kinds[0] - kinds[1]):
        raise InputError(f"without duplicates, the split {split} has no {label} image; see {DUPLICATES}")


def _details(work: Work) -> list[float]:
    return [
        detail_correlation(first, variant_of(second, number))
        for first, second, number in zip(work[0], work[1], work[2][:, 2].tolist(), strict=True)
    ]


def _row(
    index: pd.DataFrame, sketches: Sequence[Sketches], pair: tuple[int, int, int], detail: float
) -> dict[str, Any]:
    first, second, number = pair
    hashed = hashes(np.stack([sketches[first], variant_of(sketches[second], number)]))
    one, other = index.iloc[first], index.iloc[second]
    return (
        {name: one[name] for name in COLUMNS}
        | {f"other_{name}": other[name] for name in COLUMNS}
        | {
            "distance": round(max(1 - float((hashed[0] * hashed[1]).sum()), 0.0), 4),
            "detail": round(detail, 4),
            "copy": words_of(number),
            "dropped": "",
        }
    )
