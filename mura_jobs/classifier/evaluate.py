"""Scoring: the logits of images, the decision threshold, and the scores in short."""

from collections.abc import Mapping
from dataclasses import dataclass
import io
import json
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
import pandas as pd
import safetensors.torch
from scipy.special import expit
from sklearn.metrics import accuracy_score, cohen_kappa_score, log_loss, roc_auc_score
import torch
from torch import Tensor
import torch.nn.functional as F

from mura_jobs.classifier.config import TrainCnnConfig
from mura_jobs.errors import InputError
from mura_jobs.features.network import Classifier, build
from mura_jobs.job.artifact import Artifact
from mura_jobs.radiographs.packed import Packed

Unit = Literal["image", "study"]
"""What is scored: every image by itself, or a study by the mean of its images' probabilities."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def prepare(images_NHW: Tensor, size: int) -> Tensor:
    """uint8 images to the network's input: grey values in [0, 1], shape (N, 1, size, size)."""
    x = images_NHW[:, None].float() / 255
    if x.shape[-1] != size:
        x = F.interpolate(x, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return x.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Scorer:
    """A network and how it is to be applied."""

    network: Classifier
    size: int
    """Side of its input in pixels."""
    precision: Literal["float32", "bfloat16"]

    @torch.no_grad()
    def logits(self, images_NHW: Tensor, batch: int) -> Tensor:
        """Logits of uint8 images, shape (N,), float32, on the images' device."""
        self.network.eval()
        parts = []
        for images in torch.split(images_NHW, batch):
            with torch.autocast(images.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
                parts.append(self.network(prepare(images, self.size)).float())
        return torch.cat(parts) if parts else torch.empty(0, device=images_NHW.device)

    def predict(self, packed: Packed, batch: int, device: str) -> pd.DataFrame:
        """One row an image: key, patient, study, body_part, split, label, logit, probability."""
        logits = self.logits(torch.from_numpy(packed.images()).to(device), batch).cpu().numpy()
        columns = ["key", "patient", "study", "body_part", "split", "label"]
        probability = expit(logits.astype(np.float64))
        table: pd.DataFrame = packed.index[columns].assign(logit=logits, probability=probability)
        return table


def load_scorer(artifact: Artifact, device: str) -> tuple[Scorer, dict[Unit, float]]:
    """The network of a published `train-cnn`, and its decision thresholds."""
    config = TrainCnnConfig.parse(artifact.manifest.config, artifact.prefix)
    metrics = json.loads(artifact.read("metrics.json"))
    network = build(config.network, metrics["input_size"], config.seed, pretrained=None)
    network.load_state_dict(safetensors.torch.load(artifact.read("weights.safetensors")))
    return Scorer(network.to(device), metrics["input_size"], config.precision), metrics["thresholds"]


def choose_threshold(
    positive_N: Bools, probability_N: Floats, rule: Literal["youden", "accuracy", "half"]
) -> float:
    """The probability from which an image, or a study, is called positive.

    It lies midway between two neighbouring probabilities, or between them and 0 or 1; of equally good places,
    that nearest to 0.5 is taken.

    Args:
        positive_N: labels, of the split `select` only.
        probability_N: the network's probabilities of the same images or studies.
        rule: `youden` maximises sensitivity + specificity (Youden 1950), `accuracy` the share of right calls,
            `half` is 0.5.
    """
    if rule == "half":
        return 0.5
    levels = np.unique([0.0, *probability_N, 1.0])
    candidates = np.concatenate([[0.5], (levels[1:] + levels[:-1]) / 2])
    called_CN = probability_N[None] >= candidates[:, None]
    right_CN = called_CN == positive_N[None]
    if rule == "youden":
        score_C = right_CN[:, positive_N].mean(axis=1) + right_CN[:, ~positive_N].mean(axis=1)
    else:
        score_C = right_CN.mean(axis=1)
    best = candidates[score_C >= score_C.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])


def over_units(predictions: pd.DataFrame) -> dict[Unit, tuple[Bools, Floats]]:
    """Labels and probabilities over images and over studies; a study's is the mean of its images'."""
    studies = predictions.groupby("study", sort=True, observed=True).agg(
        label=("label", "first"), probability=("probability", "mean")
    )
    tables: dict[Unit, pd.DataFrame] = {"image": predictions, "study": studies}
    return {
        unit: ((table["label"] == "positive").to_numpy(), table["probability"].to_numpy())
        for unit, table in tables.items()
    }


def headline(predictions: pd.DataFrame, thresholds: Mapping[Unit, float]) -> dict[Unit, dict[str, float]]:
    """The scores in short, over images and over studies, each at its own threshold.

    Raises:
        InputError: one of the labels is absent.
    """
    return {
        unit: _scores(positive_N, probability_N, thresholds[unit])
        for unit, (positive_N, probability_N) in over_units(predictions).items()
    }


def require_both(labels: pd.Series, where: str) -> None:
    """Check that both labels occur, without which no ranking can be scored.

    Raises:
        InputError: naming the missing one.
    """
    missing = {"positive", "negative"} - set(labels)
    if missing:
        raise InputError(f"{where} has {len(labels)} images and no {' and no '.join(sorted(missing))} one")


def encode(table: pd.DataFrame) -> bytes:
    """A table as Parquet."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def as_json(values: dict[str, Any]) -> bytes:
    """Values as readable JSON."""
    return json.dumps(values, indent=1, allow_nan=False).encode()


def _scores(positive_N: Bools, probability_N: Floats, threshold: float) -> dict[str, float]:
    called_N = probability_N >= threshold
    return {
        "auroc": float(roc_auc_score(positive_N, probability_N)),
        "accuracy": float(accuracy_score(positive_N, called_N)),
        "kappa": float(cohen_kappa_score(positive_N, called_N)),
        "log_loss": float(log_loss(positive_N, probability_N)),
    }
