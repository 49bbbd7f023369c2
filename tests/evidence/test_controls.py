import json
from pathlib import Path
from typing import Any

import pytest

from mura_jobs.bucket import open_bucket
from tests.evidence.controls import check_helps, check_nothing
from tests.report.toy_run import ToyRun

pytestmark = pytest.mark.slow


def failed(tmp_path: Path, check: Any, **values: Any) -> set[str]:  # noqa: ANN401 - of any control
    """What a control finds wrong with a run whose arms differ as given."""
    (tmp_path / "bucket").mkdir()
    toy = ToyRun(open_bucket((tmp_path / "bucket").as_uri()), patients=150, **values)
    toy.publish()
    report = json.loads(toy.report(tmp_path / "scratch").read("report.json"))
    return {what for what, holds, _ in check(report) if not holds}


def test_a_gain_passes_the_control_that_asks_for_one(tmp_path: Path) -> None:
    assert not failed(tmp_path, check_helps, effects={"real+synthetic": 3.0})


def test_no_gain_fails_it(tmp_path: Path) -> None:
    found = failed(tmp_path, check_helps)
    assert {"the verdict is that they help", "they help more than as many copies"} <= found


def test_arms_that_know_the_labels_fail_the_control_without_a_finding(tmp_path: Path) -> None:
    found = failed(tmp_path, check_nothing, effects={"real+synthetic": 3.0})
    assert {"real is at chance", "there is no evidence", "real+synthetic decides nothing"} <= found


def test_arms_at_chance_pass_it(tmp_path: Path) -> None:
    chance = dict.fromkeys(("real", "real-duplicated", "real+synthetic"), -1.5)
    assert not failed(tmp_path, check_nothing, effects=chance, between_seeds=0.0)
