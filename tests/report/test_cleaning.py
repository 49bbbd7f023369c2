import numpy as np
import pandas as pd
import pytest

from mura_jobs.errors import InputError
from mura_jobs.report.cleaning import LISTED, STEPS, cleaning_facts
from tests.report.toy_run import cleaned

INDEX = cleaned(
    pd.DataFrame(
        {"key": [f"p{n:03d}/image1.png" for n in range(100)], "label": ["negative", "positive"] * 50}
    )
)


def test_steps_are_counted() -> None:
    facts = cleaning_facts(INDEX, "runs/r/preprocess")
    assert [step["images"] for step in facts["steps"]] == [10, 30, 20, 40, 100]
    assert facts["images"] == 100


def test_the_least_certain_are_listed_with_their_weakest_step() -> None:
    listed = cleaning_facts(INDEX, "runs/r/preprocess")["least_certain"]
    assert [row["confidence"] for row in listed] == sorted(INDEX["confidence"])[:LISTED]
    for row in listed:
        own = INDEX[INDEX["key"] == row["key"]].iloc[0]
        assert own[STEPS[row["weakest_step"]]] == min(own[column] for column in STEPS.values())


def test_markers_that_go_with_the_label_show() -> None:
    index = INDEX.assign(markers=np.where(INDEX["label"] == "positive", 1, 0))
    assert cleaning_facts(index, "x")["markers_by_label"] == {"negative": 0.0, "positive": 1.0}


def test_an_index_without_confidences_is_refused() -> None:
    with pytest.raises(InputError, match="no column field_confidence; preprocess it again"):
        cleaning_facts(INDEX.drop(columns="field_confidence"), "runs/r/preprocess")
