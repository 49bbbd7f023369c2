from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd
import pytest

from mura_jobs.job.artifact import Artifact
from mura_jobs.report.firewall import Check, check_firewall, holds
from tests.report.toy_run import LABELS, ToyRun


@dataclass(frozen=True)
class Seen:
    """What the checks look at."""

    run: ToyRun
    inputs: Mapping[str, Artifact]
    index: pd.DataFrame
    copied: list[str]

    def checks(self, fakes: Mapping[str, str] | None = None) -> dict[str, Check]:
        """The checks by name; `fakes` are values to change in the synthetic images' indexes."""
        fake = {"key": "fake", "patient": "synthetic-1", "split": "train"}
        synthetic = {label: pd.DataFrame([fake | {"label": label} | dict(fakes or {})]) for label in LABELS}
        found = check_firewall(self.run.config(), self.inputs, self.index, synthetic, self.copied)
        return {check.name: check for check in found}


@pytest.fixture
def seen(published: ToyRun) -> Seen:
    index, _ = published.radiographs()
    inputs = {place: published.open(place) for place in published.places}
    return Seen(published, inputs, index, copied=[])


def test_everything_holds_in_a_sound_run(seen: Seen) -> None:
    found = seen.checks()
    assert holds(list(found.values()))
    assert {check.status for check in found.values()} == {"holds"}
    patients = seen.index.groupby("split")["patient"].nunique()
    counts = f"{patients['train']} train, {patients['select']} select, {patients['test']} test"
    assert found["No two splits share patients"].found == f"{counts}; 0 in more than one"


def test_a_patient_in_two_splits_breaks_it(seen: Seen) -> None:
    index = seen.index.copy()
    tested = index[index["split"] == "test"]
    victim = tested["patient"][tested["patient"].duplicated()].iloc[0]
    index.loc[index.index[index["patient"] == victim][0], "split"] = "train"
    found = replace(seen, index=index).checks()
    assert found["No two splits share patients"].status == "broken"
    assert victim in found["No two splits share patients"].found
    assert not holds(list(found.values()))


@pytest.mark.parametrize("change", [{"split": "test"}, {"patient": "patient00001"}, {"label": "other"}])
def test_a_synthetic_image_of_a_patient_or_another_split_breaks_it(
    seen: Seen, change: Mapping[str, str]
) -> None:
    name = "Synthetic positive radiographs are training images of no real patient"
    assert seen.checks(change)[name].status == "broken"


@pytest.mark.parametrize(
    ("read", "found"),
    [
        ({}, "did not read preprocess"),
        ({"preprocess": "0" * 64}, "read another preprocess (000000000000…"),
        ({"synthesize/negative": "0" * 64}, "also read synthesize/negative"),
    ],
)
def test_a_classifier_of_other_inputs_breaks_it(seen: Seen, read: Mapping[str, str], found: str) -> None:
    place = "train-cnn/real/seed-1"
    artifact = seen.inputs[place]
    manifest = artifact.manifest.model_copy(update={"inputs": read})
    inputs = dict(seen.inputs) | {place: Artifact(artifact.bucket, artifact.prefix, manifest)}
    check = replace(seen, inputs=inputs).checks()["Classifiers of real read this data set and nothing else"]
    assert check.status == "broken"
    assert found in check.found


def test_a_copied_test_image_is_a_warning_and_named(seen: Seen) -> None:
    test = seen.index.loc[seen.index["split"] == "test", "key"].iloc[0]
    found = replace(seen, copied=[test]).checks()
    copies = found["No test image is a copy of a train or select image"]
    assert copies.status == "warning"
    assert test in copies.found
    assert holds(list(found.values()))
