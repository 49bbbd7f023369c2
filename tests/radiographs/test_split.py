from collections import Counter, defaultdict
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
import pytest

from mura_jobs.errors import InputError
from mura_jobs.job.config import Label, Split
from mura_jobs.radiographs.dataset import Radiograph
from mura_jobs.radiographs.split import assign_splits, is_selected


def radiographs(patients: int, images: int = 2) -> list[Radiograph]:
    """Every third patient is tested, every other is positive."""
    made = []
    for number in range(patients):
        label: Label = "positive" if number % 2 else "negative"
        split: Split = "test" if number % 3 == 0 else "train"
        for image in range(images):
            key, patient = f"{number:05d}/{image}", f"patient{number:05d}"
            made.append(Radiograph(key, key, patient, f"{patient}/study1", "XR_SHOULDER", label, split))
    return made


@given(st.integers(0, 2**31), st.floats(0.05, 0.9))
def test_no_patient_is_in_two_splits_and_test_stays_test(seed: int, fraction: float) -> None:
    given_ = radiographs(200)
    try:
        assigned = assign_splits(given_, fraction, seed)
    except InputError:
        return
    splits = defaultdict(set)
    for before, after in zip(given_, assigned, strict=True):
        splits[after.patient].add(after.split)
        assert (before.split == "test") == (after.split == "test")
    assert all(len(found) == 1 for found in splits.values())


def test_adding_patients_moves_no_one_else() -> None:
    few, many = radiographs(150), radiographs(600)
    assert assign_splits(few, 0.2, 1) == assign_splits(many, 0.2, 1)[: len(few)]


def test_about_the_asked_fraction_of_either_label_is_selected() -> None:
    chosen = Counter((r.label, r.split) for r in assign_splits(radiographs(6000, images=1), 0.1, 7))
    for label in ("positive", "negative"):
        share = chosen[label, "select"] / (chosen[label, "select"] + chosen[label, "train"])
        assert share == pytest.approx(0.1, abs=0.02)


def test_another_seed_selects_others() -> None:
    names = [f"patient{number}" for number in range(500)]
    assert [is_selected(n, 0.5, 0) for n in names] != [is_selected(n, 0.5, 1) for n in names]


def test_a_larger_fraction_keeps_those_selected_before() -> None:
    names = [f"patient{number}" for number in range(500)]
    assert all(is_selected(n, 0.3, 0) for n in names if is_selected(n, 0.1, 0))


def test_a_split_of_the_data_sets_own_is_kept() -> None:
    own = [replace(r, split="select") if r.patient.endswith(("1", "4")) else r for r in radiographs(60)]
    own = [replace(r, split="test") if r.patient.endswith("3") else r for r in own]
    assert list(assign_splits(own, 0.9, 0)) == own


def test_a_split_without_a_label_is_refused() -> None:
    with pytest.raises(InputError, match="the split select has no"):
        assign_splits(radiographs(12), 1e-9, 0)
    with pytest.raises(InputError, match="the split test has no positive"):
        assign_splits([r for r in radiographs(60) if r.split != "test" or r.label == "negative"], 0.3, 0)
