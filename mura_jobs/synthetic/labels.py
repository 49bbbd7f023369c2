"""Whether a synthetic radiograph shows its label, as a classifier of real training images sees it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mura_jobs.synthetic.gate import Floats

Flags = NDArray[np.bool_]

CHANCE = 0.05
"""Level of the test that the judge is better than chance."""

_INVERSE_PENALTY = 0.01
"""scikit-learn's C: there are about as many features as images, so that a weak penalty would overfit."""

_DIGITS = 4


@dataclass(frozen=True)
class Judge:
    """A logistic regression on features, and how well it tells the labels of held-out radiographs."""

    model: Pipeline
    auroc: float
    """On `select`."""
    p_value: float
    """Chance of such an AUROC from a judge that knows nothing (Mann-Whitney, one-sided)."""

    @property
    def abstains(self) -> str | None:
        """Why its word is worth nothing, if so: its AUROC on `select` isn't above 0.5 beyond chance."""
        if self.p_value < CHANCE:
            return None
        return (
            f"the classifier behind it is at chance on `select` (AUROC {self.auroc:.3f}, "
            f"p = {self.p_value:.2g}, needed is below {CHANCE})"
        )

    def probability(self, features_NF: Floats, *, positive: bool) -> Floats:
        """Probability of a label for each image, (N,)."""
        probabilities = self.model.predict_proba(features_NF.astype(np.float64))
        return np.asarray(probabilities[:, int(positive)].round(_DIGITS), np.float32)


def train_judge(train_NF: Floats, train_positive: Flags, select_NF: Floats, select_positive: Flags) -> Judge:
    """Fit on the training images of both labels, and test on `select`'s, which must have both too."""
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced", max_iter=1000)
    )
    model.fit(train_NF.astype(np.float64), train_positive)
    scores = model.predict_proba(select_NF.astype(np.float64))[:, 1]
    test = mannwhitneyu(scores[select_positive], scores[~select_positive], alternative="greater")
    return Judge(model, round(float(roc_auc_score(select_positive, scores)), _DIGITS), float(test.pvalue))
