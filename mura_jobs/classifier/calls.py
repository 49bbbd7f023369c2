"""Which test images get a Grad-CAM map, and where it is stored."""

import numpy as np
import pandas as pd

MAPS = "gradcam.npy"
"""The maps, uint8 (N, R, R): 0 nothing, 255 the strongest place of its image."""

CHOSEN = "gradcam.parquet"
"""What they are of, in the same order: the columns of the predictions and `call`, one of `CALLS`."""

CALLS = ("true positive", "false negative", "false positive", "true negative")

CALLED_POSITIVE = ("true positive", "false positive")


def choose(predictions: pd.DataFrame, threshold: float, each: int) -> pd.DataFrame:
    """Of each kind of call the surest: those whose probability lies farthest from the threshold.

    Of a patient with several images of a kind only the surest is taken; ties go by the key. The rule looks at
    nothing but the predictions, so nobody picks.

    Args:
        predictions: rows with key, patient, label and probability.
        threshold: the probability from which an image is called positive.
        each: how many of each kind, where there are so many.

    Returns:
        The chosen rows with the column `call`, in the order of CALLS, the surest first.
    """
    positive = predictions["label"] == "positive"
    called = predictions["probability"] >= threshold
    call = np.select([positive & called, positive & ~called, ~positive & called], CALLS[:3], CALLS[3])
    table = predictions.assign(call=call, margin=(predictions["probability"] - threshold).abs())
    table = table.sort_values(["margin", "key"], ascending=[False, True])
    table = table.drop_duplicates(["call", "patient"])
    kinds = [table[table["call"] == kind].head(each) for kind in CALLS]
    return pd.concat(kinds, ignore_index=True).drop(columns="margin")
