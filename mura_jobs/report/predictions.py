"""What every arm and seed predicted on the test set, lined up so that arms can be compared item by item."""

from collections.abc import Mapping
from dataclasses import dataclass
import io
import json

import numpy as np
import pandas as pd

from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact
from mura_jobs.report.config import ReportConfig, Unit
from mura_jobs.report.statistics import Bools, Floats, Ints

_IDENTITY = ["key", "patient", "study", "label"]


@dataclass(frozen=True)
class Predictions:
    """All predictions on the test set, over images or over studies."""

    unit: Unit
    names: tuple[str, ...]
    """Keys of the images, or names of the studies, N of them."""
    positive: Bools
    """Label of each item, shape (N,)."""
    patient: Ints
    """Each item's patient, 0 … patients − 1, shape (N,)."""
    probability: Mapping[str, Floats]
    """Probability of positive by arm, shape (S, N) over seeds and items."""
    threshold: Mapping[str, Floats]
    """Probability from which an item is called positive, by arm, shape (S,)."""

    @property
    def patients(self) -> int:
        """Patients in the test set, a count."""
        return int(self.patient.max()) + 1


def read_predictions(
    config: ReportConfig, inputs: Mapping[str, Artifact], index: pd.DataFrame
) -> Predictions:
    """Read the test predictions of every arm and seed, over images.

    Args:
        config: which arms and seeds there are.
        inputs: the classifiers' outputs by place, "train-cnn/ARM/seed-N".
        index: the real data set's index, which says what the test set is.

    Raises:
        InputError: predictions are missing, not finite, or over other images than the test set's.
    """
    test = index.loc[index["split"] == "test", _IDENTITY].sort_values("key", ignore_index=True)
    return Predictions(
        unit="image",
        names=tuple(test["key"]),
        positive=(test["label"] == "positive").to_numpy(),
        patient=pd.factorize(test["patient"])[0].astype(np.int64),
        probability={
            arm: np.stack([_probabilities(place, inputs[place], test) for place in places])
            for arm, places in _places(config).items()
        },
        threshold=_thresholds(config, inputs, "image"),
    )


def read_study_thresholds(config: ReportConfig, inputs: Mapping[str, Artifact]) -> dict[str, Floats]:
    """The probability from which a study is called positive, by arm, shape (S,) over seeds."""
    return _thresholds(config, inputs, "study")


def by_study(images: Predictions, study: pd.Series, threshold: Mapping[str, Floats]) -> Predictions:
    """The same over studies: a study's probability is the mean of its images'.

    Args:
        images: predictions over images.
        study: study of each image, by the image's key.
        threshold: of studies, by arm, shape (S,).
    """
    code_N, names = pd.factorize(study.loc[list(images.names)])
    count_K = np.bincount(code_N)
    first_K = np.unique(code_N, return_index=True)[1]
    return Predictions(
        unit="study",
        names=tuple(names),
        positive=images.positive[first_K],
        patient=images.patient[first_K],
        probability={
            arm: np.stack([np.bincount(code_N, weights=row_N) / count_K for row_N in rows_SN])
            for arm, rows_SN in images.probability.items()
        },
        threshold=threshold,
    )


def _probabilities(place: str, artifact: Artifact, test: pd.DataFrame) -> Floats:
    table = pd.read_parquet(io.BytesIO(artifact.read("predictions.parquet")))
    found = table[table["split"] == "test"].sort_values("key", ignore_index=True)
    if not found[_IDENTITY].astype(str).equals(test.astype(str)):
        raise InputError(
            f"{place}: predicts {len(found)} test images, the data set has {len(test)}, and they are not the "
            f"same ones with the same labels; run train-cnn again on this data set"
        )
    probability_N = found["probability"].to_numpy(np.float64)
    if not ((probability_N >= 0) & (probability_N <= 1)).all():
        bad = found.loc[~found["probability"].between(0, 1), "key"].iloc[0]
        raise InputError(
            f"{place}: the probability of {bad} is not between 0 and 1; train that classifier again"
        )
    return probability_N


def _places(config: ReportConfig) -> dict[str, list[str]]:
    return {arm: [f"train-cnn/{arm}/seed-{seed}" for seed in range(config.seeds)] for arm in config.arms}


def _thresholds(config: ReportConfig, inputs: Mapping[str, Artifact], unit: Unit) -> dict[str, Floats]:
    return {
        arm: np.array([_threshold(place, inputs[place], unit) for place in places])
        for arm, places in _places(config).items()
    }


def _threshold(place: str, artifact: Artifact, unit: Unit) -> float:
    metrics = json.loads(artifact.read("metrics.json"))
    if unit not in metrics.get("thresholds", {}):
        raise InputError(
            f"{place}: metrics.json has no threshold of {unit}s; it has {', '.join(sorted(metrics))}. Run "
            f"train-cnn again with this version"
        )
    return float(metrics["thresholds"][unit])
