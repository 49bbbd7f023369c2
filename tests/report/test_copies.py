"""Pairs are drawn so that each law has something to fail on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact
from mura_jobs.radiographs.leaks import drop_duplicates
from mura_jobs.report.copies import LISTED, copied_tests, copy_facts, read_pairs
from tests.report.toy_run import ToyRun

REAL = pd.DataFrame(
    {
        "key": ["t1", "t2", "s1", "s2", "r1", "r2"],
        "split": ["test", "test", "select", "select", "train", "train"],
    }
)
DIGESTS = {key: f"digest of {key}" for key in REAL["key"]}


def table(pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Pairs of keys of REAL, as `preprocess` lists them."""
    split = REAL.set_index("key")["split"]
    rows = [
        {"key": one, "split": split[one], "label": "positive"}
        | {"other_key": other, "other_split": split[other], "other_label": "negative", "dropped": ""}
        for one, other in pairs
    ]
    return pd.DataFrame(
        rows, columns=["key", "split", "label", "other_key", "other_split", "other_label", "dropped"]
    )


def test_test_images_that_are_elsewhere_too_are_found_by_their_pixels_or_as_pairs() -> None:
    assert copied_tests(REAL, DIGESTS, table([])) == []
    assert copied_tests(REAL, DIGESTS | {"t2": DIGESTS["s1"]}, table([])) == ["t2"]
    assert copied_tests(REAL, DIGESTS, table([("r1", "t1")])) == ["t1"]
    assert copied_tests(REAL, DIGESTS | {"t2": DIGESTS["s1"]}, table([("t1", "s1")])) == ["t1", "t2"]


@pytest.mark.parametrize("pair", [("t1", "t2"), ("s1", "s2"), ("r1", "s1")])
def test_pairs_that_are_on_one_side_of_the_test_blur_nothing(pair: tuple[str, str]) -> None:
    assert copied_tests(REAL, DIGESTS, table([pair])) == []


def test_what_was_left_out_blurs_nothing_even_if_it_was_for_another_pair() -> None:
    """s1 goes because of t1: its pair with t2 is gone too."""
    pairs = drop_duplicates(table([("r1", "t1"), ("s1", "t1"), ("s1", "t2"), ("s1", "s2")]))
    left = REAL[~REAL["key"].isin(set(pairs["dropped"]))]
    assert left["key"].tolist() == ["t1", "t2", "s2", "r2"]
    assert copied_tests(left, DIGESTS, pairs) == []


@pytest.fixture
def preprocess(bucket: Bucket) -> Artifact:
    """A data set in which fourteen pairs were found."""
    toy = ToyRun(bucket, patients=90, copies=LISTED + 2)
    toy.publish_real(*toy.radiographs())
    return toy.open("preprocess")


def test_facts_count_all_pairs_and_list_some(preprocess: Artifact) -> None:
    pairs = read_pairs(preprocess)
    facts = copy_facts(pairs, ["t1"])
    assert (facts["pairs"], facts["with_test"], facts["test_images"]) == (LISTED + 2, LISTED + 2, 1)
    assert facts["labels_differ"] == int(np.sum(pairs["label"] != pairs["other_label"]))
    assert [pair["key"] for pair in facts["listed"]] == pairs["key"].tolist()[:LISTED]


def test_pairs_that_blur_the_test_come_first(bucket: Bucket) -> None:
    toy = ToyRun(bucket, patients=90, copies=3)
    index, images = toy.radiographs()

    class Mixed(ToyRun):
        def pairs(self, index: pd.DataFrame) -> pd.DataFrame:
            found = super().pairs(index)
            found["dropped"] = [found["key"].iloc[0], "", ""]
            found["other_split"] = ["test", "select", "test"]
            return found

    Mixed(bucket, patients=90, copies=3).publish_real(index, images)
    assert (
        read_pairs(toy.open("preprocess"))["key"].tolist() == toy.pairs(index)["key"].iloc[[2, 1, 0]].tolist()
    )


def test_a_data_set_without_the_list_is_refused(preprocess: Artifact) -> None:
    objects = {
        name: stored for name, stored in preprocess.manifest.objects.items() if name != "duplicates.csv"
    }
    older = preprocess.manifest.model_copy(update={"objects": objects})
    with pytest.raises(
        InputError, match=r"runs/toy/preprocess: no duplicates\.csv in it; preprocess it again"
    ):
        read_pairs(Artifact(preprocess.bucket, preprocess.prefix, older))
