from pathlib import Path
from typing import Any

import pytest

from mura_jobs.bucket.base import Bucket
from mura_jobs.report.config import ReportConfig
from mura_jobs.report.learning import learning_curves
from tests.report.toy_run import ToyRun

IMAGES = {
    "real": (200.0, 0.0),
    "real-f0.1": (20.0, 0.0),
    "real-f0.5": (100.0, 0.0),
    "real+synthetic-x1-f0.1": (20.0, 20.0),
    "real+synthetic-x1": (200.0, 200.0),
    "real+synthetic-x0.5": (200.0, 100.0),
    "real-duplicated-x1": (200.0, 200.0),
    "synthetic-only-x1": (0.0, 200.0),
}
"""Real and extra images by arm."""


def curves(*arms: str) -> dict[str, dict[str, list[tuple[str, float]]]]:
    """Arm and place of each point by kind and curve."""
    value = {"value": 0.7, "low": 0.6, "high": 0.8}
    report: dict[str, Any] = {
        "arms": [{"arm": arm, "study": {"scores": {"auroc": value}}} for arm in arms],
        "training": [
            {"mean": {"real": IMAGES[arm][0], "copies": 0.0, "synthetic": IMAGES[arm][1]}} for arm in arms
        ],
    }
    config = ReportConfig.parse({"labels": ["positive", "negative"], "arms": list(arms), "seeds": 1})
    found = learning_curves(report, config)
    return {
        kind: {one["name"]: [(point["arm"], point["x"]) for point in one["points"]] for one in lines}
        for kind, lines in found.items()
    }


def test_each_point_lies_at_its_arms_images_in_their_order() -> None:
    assert curves(*IMAGES) == {
        "real": {
            "real": [("real-f0.1", 20.0), ("real-f0.5", 100.0), ("real", 200.0)],
            "real+synthetic-x1": [("real+synthetic-x1-f0.1", 20.0), ("real+synthetic-x1", 200.0)],
        },
        "extra": {
            "real+synthetic": [("real", 0.0), ("real+synthetic-x0.5", 100.0), ("real+synthetic-x1", 200.0)],
            "real-duplicated": [("real", 0.0), ("real-duplicated-x1", 200.0)],
        },
    }


@pytest.mark.parametrize("arms", [("real",), ("real", "real-duplicated-x1", "real+synthetic-x1")])
def test_a_single_amount_is_no_curve(arms: tuple[str, ...]) -> None:
    assert curves(*arms) == {"real": {}, "extra": {}}


def test_curves_are_on_the_page_in_picture_and_numbers(bucket: Bucket, tmp_path: Path) -> None:
    arms = ("real", "real-f0.2", "real+synthetic-x0.2", "real+synthetic-x0.1")
    toy = ToyRun(bucket, arms=arms, seeds=1, patients=90)
    toy.publish()
    report = toy.report(tmp_path / "scratch")
    assert {"figures/learning-real.svg", "figures/learning-extra.svg"} <= set(report.names)
    assert "The same in numbers" in report.read("index.html").decode()
