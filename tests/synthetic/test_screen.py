from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mura_jobs.errors import InputError
from mura_jobs.features.space import FeatureSpace
from mura_jobs.radiographs.packed import Packed
from mura_jobs.synthetic.config import GatesConfig
from mura_jobs.synthetic.screen import Screening, screen
from tests.synthetic.toy import Images, radiographs


def coarse(grey_N1RR: Tensor) -> Tensor:
    """A feature space that starts at once: brightness in a coarse grid."""
    return 16 * F.avg_pool2d(grey_N1RR, 2).flatten(1)


SPACE = FeatureSpace("coarse", coarse, torch.device("cpu"))
LENIENT = {"quantile": 0.0, "label_quantile": 0.0, "realism_quantile": 0.0, "rejected_share": 0.9}


def data_set(index: pd.DataFrame, images: Images) -> Packed:
    rows = np.arange(len(index), dtype=np.int32)
    return Packed(index.assign(shard=np.int32(0), row=rows), images.shape[1], (images,))


def real(finding: float = 80.0) -> Packed:
    return data_set(*radiographs(120, finding=finding))


def images_of(packed: Packed, label: str, split: str) -> Images:
    chosen = (packed.index["label"] == label) & (packed.index["split"] == split)
    return packed.images(np.flatnonzero(chosen.to_numpy()))


def new(finding: float, seed: int = 9) -> Images:
    """Positive images of patients that no data set has, with the finding or without."""
    return images_of(data_set(*radiographs(120, finding=finding, seed=2 * seed)), "positive", "train")


def gated(
    images: Images,
    packed: Packed,
    wanted: int | None,
    gates: dict[str, Any],
    space: FeatureSpace | None = SPACE,
) -> Screening:
    config = GatesConfig.parse(LENIENT | gates)
    return screen(config, images, "positive", packed, space, wanted=wanted, pause=lambda: None)


OFF = {"memorisation": False, "duplicates": False, "label_agreement": False, "realism": False}


@pytest.mark.parametrize(
    "change",
    [lambda image: image, lambda image: image[:, :, ::-1], lambda image: np.clip(image + 1.0, 0, 255)],
    ids=["copies", "mirrored", "brighter"],
)
def test_copies_of_training_images_are_caught_in_pixels_and_in_features(
    change: Callable[[Images], Images],
) -> None:
    packed = real()
    copies = change(images_of(packed, "positive", "train")[:6]).astype(np.uint8)
    candidates = np.concatenate([new(80)[:6], copies])
    found = gated(candidates, packed, None, OFF | {"memorisation": True})
    assert set(found.kept) <= set(range(6))
    assert found.facts["rejected"]["memorisation"] >= 6
    told = gated(candidates, packed, 12, OFF)
    scores, gates = told.scores, told.facts["gates"]
    assert list(told.kept) == list(range(12))
    assert scores["memorised"][6:].all()
    assert (scores["train_feature_distance"][6:] <= gates["memorisation_features"]["threshold"]).all()
    keys = packed.where(split="train", label="positive").index["key"][:6].tolist()
    assert scores["nearest_train"][6:].tolist() == keys
    assert scores["nearest_train_features"][6:].tolist() == keys


def test_the_wrong_label_is_rejected_by_label_agreement_alone() -> None:
    """Ten images without the finding among ten with it, of patients that nobody has seen."""
    found = gated(
        np.concatenate([new(80)[:10], new(0)[:10]]),
        real(),
        None,
        OFF | {"label_agreement": True, "label_quantile": 0.05},
    )
    assert set(found.kept) <= set(range(10))
    assert len(found.kept) >= 8
    assert found.facts["gates"]["label_agreement"]["auroc"] > 0.9


def test_without_a_finding_label_agreement_abstains_and_rejects_nobody() -> None:
    found = gated(new(0)[:20], real(finding=0), 20, OFF | {"label_agreement": True, "label_quantile": 0.4})
    fact = found.facts["gates"]["label_agreement"]
    assert "at chance" in fact["abstains"]
    assert fact["failed"] > 0
    assert fact["rejected"] == 0


def test_what_no_radiograph_looks_like_is_rejected_by_realism_alone() -> None:
    strange = np.random.default_rng(1).choice(np.array([0, 255], np.uint8), (10, 16, 16)).repeat(1, axis=0)
    strange[:, :8] = 255
    found = gated(np.concatenate([new(80)[:10], strange]), real(), None, OFF | {"realism": True})
    assert set(found.kept) <= set(range(10))
    assert found.facts["rejected"]["realism"] >= 10


def test_thresholds_and_scores_ignore_the_test_split_and_follow_select() -> None:
    candidates = new(80)[:12]
    index, images = radiographs(120, finding=80)

    def changed(split: str) -> Screening:
        there = (index["split"] == split).to_numpy()
        images_there = np.where(there[:, None, None], 255 - images, images).astype(np.uint8)
        return gated(candidates, data_set(index, images_there), 12, OFF)

    before, test, select = (
        gated(candidates, data_set(index, images), 12, OFF),
        changed("test"),
        changed("select"),
    )
    assert test.facts == before.facts
    pd.testing.assert_frame_equal(test.scores, before.scores)
    levels = [{name: fact["threshold"] for name, fact in s.facts["gates"].items()} for s in (before, select)]
    assert all(levels[0][name] != levels[1][name] for name in levels[0])
    scores = ["train_distance", "train_feature_distance", "label_probability", "realism"]
    pd.testing.assert_frame_equal(select.scores[scores], before.scores[scores])


@pytest.mark.parametrize("gate", ["memorisation", "label_agreement", "realism"])
def test_a_gate_that_rejects_nearly_everything_stops_and_is_named_with_its_figures(gate: str) -> None:
    packed = real()
    bad = {
        "memorisation": images_of(packed, "positive", "train")[:10],
        "label_agreement": new(0)[:10],
        "realism": np.zeros((10, 16, 16), np.uint8),
    }[gate]
    with pytest.raises(InputError, match=rf"{gate} rejected \d+ of 10 \(threshold .*Gate {gate}: ") as caught:
        gated(bad, packed, 8, OFF | {gate: True})
    assert caught.value.exit_code == 65
    with pytest.raises(InputError, match="candidates passed the gates"):
        gated(bad, packed, None, OFF | {gate: True, "rejected_share": 0.5})


def test_what_is_told_does_not_depend_on_candidates_beyond_the_last_one_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidates, packed = new(80)[:60], real()
    whole = gated(candidates, packed, 7, {})
    assert whole.facts == gated(candidates[: whole.kept[-1] + 1], packed, 7, {}).facts
    monkeypatch.setattr("mura_jobs.synthetic.screen._CHUNK", 5)
    pieces = gated(candidates, packed, 7, {})
    assert pieces.facts == whole.facts
    pd.testing.assert_frame_equal(pieces.scores, whole.scores)


def test_without_a_feature_space_pixels_alone_decide() -> None:
    found = gated(new(80)[:12], real(), 8, {}, space=None)
    assert set(found.facts["gates"]) == {"memorisation", "duplicates"}
    assert found.facts["features"] is None
    assert "memorised" in found.scores
    assert "realism" not in found.scores


def test_select_without_a_label_is_refused_with_what_to_do() -> None:
    index, images = radiographs(120, finding=80)
    gone = ((index["split"] == "select") & (index["label"] == "negative")).to_numpy()
    with pytest.raises(InputError, match=r"select lacks a label.*space"):
        gated(new(80)[:5], data_set(index[~gone].reset_index(drop=True), images[~gone]), 5, {})
