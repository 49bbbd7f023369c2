"""Files that can't be read: named, counted, and fatal above a stated share."""

from collections.abc import Mapping

import pandas as pd

from mura_jobs.errors import InputError

UNREADABLE = "unreadable.csv"
"""One row for each, with what it was to be, its size, its digest and what is wrong with it."""


def require_readable(unreadable: pd.DataFrame, images: Mapping[str, int], share: float, where: str) -> None:
    """Check that no more images of a split are unreadable than allowed.

    Args:
        unreadable: rows with key, split and problem.
        images: how many the data set has by split, readable or not.
        share: of a split's images that may be unreadable.
        where: the data set, for messages.

    Raises:
        InputError: naming the first of them and what is wrong with it.
    """
    for split, rows in unreadable.groupby("split"):
        total = images[str(split)]
        if len(rows) > share * total or len(rows) == total:
            first = rows.sort_values("key").iloc[0]
            raise InputError(
                f"{where}: {first['key']} can't be read: {first['problem']}; {len(rows)} of {total:,} "
                f"images in {split} are unreadable, and unreadable_share allows {share:g}. Replace the "
                "file, or take it off the tables"
            )
