from dataclasses import replace

import numpy as np
import pytest

from mura_jobs.job.config import Label
from mura_jobs.radiographs.config import PhantomConfig
from mura_jobs.radiographs.phantom.draw import StudyPlan, Truth, _quarter_turned, draw_image, plan_study
from mura_jobs.radiographs.phantom.flaws import Flaws
from tests.radiographs.drawing import grey, phantoms

SMALL = PhantomConfig(long_side=96, seed=5)
PLAIN = SMALL.model_copy(update={"flaws": 0.0, "noise": 0.0})


def labelled(study: StudyPlan, label: Label) -> StudyPlan:
    return replace(study, label=label)


def test_the_same_seed_draws_the_same_picture_and_another_does_not() -> None:
    study = plan_study(SMALL, 4, 1)
    first, truth = draw_image(SMALL, study, 1)
    again, same = draw_image(SMALL, study, 1)
    other, _ = draw_image(SMALL.model_copy(update={"seed": 6}), study, 1)
    np.testing.assert_array_equal(first, again)
    assert truth == same
    assert first.shape != other.shape or (first != other).any()


@pytest.mark.parametrize("patient", range(1, 7))
def test_at_strength_zero_the_label_leaves_no_trace(patient: int) -> None:
    """The negative control: a study is drawn alike, pixel by pixel, whatever its label."""
    control = SMALL.model_copy(update={"strength": 0.0})
    study = plan_study(control, patient, 1)
    for image in range(1, len(study.views) + 1):
        positive, _ = draw_image(control, labelled(study, "positive"), image)
        negative, _ = draw_image(control, labelled(study, "negative"), image)
        np.testing.assert_array_equal(positive, negative)


def test_the_label_depends_on_nothing_but_its_own_stream() -> None:
    """Another share of positive studies changes labels only: views, sides and numbers of images stay."""
    rare = SMALL.model_copy(update={"positive_fraction": 0.1})
    for patient in range(1, 30):
        assert labelled(plan_study(rare, patient, 1), "negative") == labelled(
            plan_study(SMALL, patient, 1), "negative"
        )


def test_a_finding_shows_where_the_truth_says() -> None:
    """Against the healthy picture of the same study, the box differs more than the rest."""
    kinds = set()
    for patient in range(1, 25):
        study = labelled(plan_study(PLAIN, patient, 1), "positive")
        sick, truth = draw_image(PLAIN, study, 1)
        healthy, _ = draw_image(PLAIN, labelled(study, "negative"), 1)
        if truth.finding_box is None or truth.finding in kinds:
            continue
        left, top, right, bottom = truth.finding_box
        difference = np.abs(grey(sick) - grey(healthy))
        inside = difference[top:bottom, left:right].mean()
        outside = np.delete(difference, np.s_[top:bottom], axis=0).mean()
        # a dislocated humerus takes the whole arm along
        assert inside > (1.2 if truth.finding == "dislocation" else 3) * outside, truth
        kinds.add(truth.finding)
    assert kinds == {"fracture", "plate", "dislocation"}


def test_a_stronger_finding_differs_more() -> None:
    study = labelled(plan_study(PLAIN, 2, 1), "positive")
    healthy, _ = draw_image(PLAIN, labelled(study, "negative"), 1)
    change = []
    for strength in (0.0, 0.3, 1.0):
        sick, _ = draw_image(PLAIN.model_copy(update={"strength": strength}), study, 1)
        change.append(np.abs(grey(sick) - grey(healthy)).mean())
    assert change[0] == 0
    assert change == sorted(change)


def test_without_flaws_pictures_are_plain() -> None:
    for _, truth in phantoms(PLAIN, 25):
        assert (truth.inverted, truth.framing, truth.rotation, truth.marker) == (False, "full", 0.0, None)
        assert truth.brightness == "usual"


def test_flaws_are_about_as_frequent_as_asked() -> None:
    """Frequencies over 4000 draws: inverted 8 %, framed or collimated 32 %, marked 80 %."""
    random = np.random.default_rng(0)
    drawn = [Flaws.draw(random, flaws=1.0, noise=1.0, side="L") for _ in range(4000)]
    assert np.mean([flaw.inverted for flaw in drawn]) == pytest.approx(0.08, abs=0.02)
    assert np.mean([flaw.framing != "full" for flaw in drawn]) == pytest.approx(0.32, abs=0.03)
    assert np.mean([flaw.marker is not None for flaw in drawn]) == pytest.approx(0.8, abs=0.03)
    assert all((flaw.rotation == 0) or flaw.framing != "full" for flaw in drawn)


def test_noise_grows_with_its_setting() -> None:
    """Twice the noise setting doubles the deviation from the noiseless picture, where it isn't cut off."""
    study = plan_study(PLAIN, 3, 1)
    clear = grey(draw_image(PLAIN, study, 1)[0])
    spread = [
        (grey(draw_image(PLAIN.model_copy(update={"noise": noise}), study, 1)[0]) - clear)[clear > 0.2].std()
        for noise in (4.0, 8.0)
    ]
    assert spread[1] == pytest.approx(2 * spread[0], rel=0.2)


def test_bone_is_brighter_than_tissue_and_tissue_than_air() -> None:
    study = replace(plan_study(PLAIN, 1, 1), views=("AP external",), side="R", label="negative")
    picture = grey(draw_image(PLAIN, study, 1)[0])
    assert picture[:5, :5].mean() < 0.15 < np.median(picture) < np.percentile(picture, 99)


def test_a_left_shoulder_mirrors_a_right_one() -> None:
    study = replace(plan_study(PLAIN, 1, 1), label="negative")
    right = grey(draw_image(PLAIN, replace(study, side="R"), 1)[0])
    left = grey(draw_image(PLAIN, replace(study, side="L"), 1)[0])
    # tilt and beam are not mirrored, so the pictures agree only roughly
    assert np.corrcoef(right.ravel(), left[:, ::-1].ravel())[0, 1] > 0.9
    assert np.corrcoef(right.ravel(), left.ravel())[0, 1] < 0.7


def test_four_quarter_turns_change_nothing() -> None:
    _, truth = draw_image(SMALL, plan_study(SMALL, 2, 1), 1)
    turned = truth
    for height in (96, 70, 96, 70):
        turned = _quarter_turned(turned, height)
    assert turned == truth


def test_a_quarter_turn_takes_the_box_along() -> None:
    """The pixels in a box are, after turning picture and box, still the pixels in the box."""
    picture = np.arange(12 * 8).reshape(12, 8)
    truth = Truth("R", "AP external", "plate", "clavicle", 1.0, (1, 2, 4, 9), False, "full", (0.0,) * 8,
                  (1, 2, 4, 9), 0.0, 1, "usual", None, None, 0.0)  # fmt: skip
    box = _quarter_turned(truth, 12).finding_box
    assert box is not None
    left, top, right, bottom = box
    turned = np.rot90(picture, -1)[top:bottom, left:right]
    np.testing.assert_array_equal(turned, np.rot90(picture[2:9, 1:4], -1))
