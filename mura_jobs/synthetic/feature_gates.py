"""The gates that compare features: copies, the label, and likeness to real radiographs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mura_jobs.errors import InputError
from mura_jobs.features.space import FeatureSpace
from mura_jobs.job.config import Label
from mura_jobs.radiographs.packed import Packed
from mura_jobs.synthetic.config import GatesConfig
from mura_jobs.synthetic.gate import Floats, threshold
from mura_jobs.synthetic.labels import Judge, train_judge
from mura_jobs.synthetic.neighbours import nearest_features, radii, realism
from mura_jobs.synthetic.verdict import Verdict

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class FeatureGates:
    """Everything about the real radiographs that the gates need, computed once."""

    gates: GatesConfig
    space: FeatureSpace
    label: Label
    trained: Floats
    """Features of the label's training images, (N, F)."""
    keys: NDArray[np.object_]
    """Their keys."""
    real: Floats
    """Features of all training images: whether an image is a likely radiograph is no matter of its label."""
    radius: Floats
    """Distance of each of those to its neighbours."""
    too_near: float
    too_unreal: float
    judge: Judge
    too_unlike: float

    @classmethod
    def open(cls, gates: GatesConfig, space: FeatureSpace, label: Label, real: Packed) -> "FeatureGates":
        """Fix every threshold on `select`.

        Raises:
            InputError: `select` lacks a label, or there are too few training images.
        """
        features, positive = {}, {}
        for split in ("train", "select"):
            part = real.where(split=split)
            features[split] = space(part.images())
            positive[split] = (part.index["label"] == "positive").to_numpy()
        if positive["select"].all() or not positive["select"].any():
            raise InputError(
                "preprocess: the split select lacks a label, without which no gate can tell how well labels "
                "are told apart; use more data, a larger select_fraction, or gates.features.space none"
            )
        wanted = label == "positive"
        own = {split: flags == wanted for split, flags in positive.items()}
        if len(features["train"]) <= gates.neighbours:
            raise InputError(
                f"preprocess: {len(features['train'])} training images, of which realism compares each with "
                f"its {gates.neighbours}-th neighbour; lower gates.neighbours, or gates.features.space: none"
            )
        trained, select = features["train"][own["train"]], features["select"][own["select"]]
        unseen = real.where(split="select", label=label).images()
        apart = nearest_features([select, space(unseen[:, :, ::-1])], trained)
        radius = radii(features["train"], gates.neighbours)
        judge = train_judge(features["train"], positive["train"], features["select"], positive["select"])
        return cls(
            gates=gates,
            space=space,
            label=label,
            trained=trained,
            keys=real.where(split="train", label=label).index["key"].to_numpy(),
            real=features["train"],
            radius=radius,
            too_near=threshold(apart, gates.quantile),
            too_unreal=_quantile(
                realism(features["select"], features["train"], radius), gates.realism_quantile
            ),
            judge=judge,
            too_unlike=_quantile(judge.probability(select, positive=wanted), gates.label_quantile),
        )

    def verdicts(self, images: Images) -> list[Verdict]:
        """Every feature gate's about some candidates, uint8 (N, R, R)."""
        features = self.space(images)
        apart = nearest_features([features, self.space(images[:, :, ::-1])], self.trained)
        likely = realism(features, self.real, self.radius)
        probability = self.judge.probability(features, positive=self.label == "positive")
        gates = self.gates
        return [
            Verdict(
                "memorisation_features",
                {"train_feature_distance": apart.distance, "nearest_train_features": self.keys[apart.row]},
                self.too_near,
                apart.distance <= self.too_near,
                gates.memorisation,
            ),
            Verdict(
                "label_agreement",
                {"label_probability": probability},
                self.too_unlike,
                probability < self.too_unlike,
                gates.label_agreement,
                self.judge.abstains,
                {"auroc": self.judge.auroc, "p_value": self.judge.p_value},
            ),
            Verdict("realism", {"realism": likely}, self.too_unreal, likely < self.too_unreal, gates.realism),
        ]


def _quantile(scores: Floats, quantile: float) -> float:
    return round(float(np.quantile(scores, quantile)), 4)
