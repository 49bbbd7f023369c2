from collections.abc import Mapping

import numpy as np
import pytest

from mura_jobs.report.config import ReportConfig
from mura_jobs.report.predictions import Predictions
from mura_jobs.report.statistics import Floats
from mura_jobs.report.verdict import Comparison, Scored, baselines, compare, conclude, controls, decide
from mura_jobs.report.words import answer, explain, number, signed

ARMS = ("real", "real-duplicated", "real+synthetic", "real+synthetic-x2", "synthetic-only")


def config(arms: tuple[str, ...] = ARMS, seeds: int = 3) -> ReportConfig:
    return ReportConfig(labels=("positive", "negative"), arms=arms, seeds=seeds)


def test_arms_are_compared_with_the_real_images_that_they_contain() -> None:
    arms = (
        "real",
        "real-f0.25",
        "real+synthetic",
        "real+synthetic-f0.25",
        "real+synthetic-f0.5",
        "synthetic-only",
    )
    assert baselines(arms) == {
        "real+synthetic": "real",
        "real+synthetic-f0.25": "real-f0.25",
        "real+synthetic-f0.5": "real",  # no real-f0.5 was trained
        "synthetic-only": "real",
    }


def test_controls_have_as_many_copies_from_as_many_patients() -> None:
    arms = (
        "real",
        "real-duplicated",
        "real-duplicated-x2-f0.5",
        "real+synthetic-x1",
        "real+synthetic-x2-f0.5",
    )
    assert controls(arms) == {
        "real+synthetic-x1": "real-duplicated",  # x1 is what no amount means
        "real+synthetic-x2-f0.5": "real-duplicated-x2-f0.5",
    }
    assert controls(("real", "real+synthetic-x2", "real-duplicated")) == {}


def test_direction_is_named_only_below_alpha() -> None:
    assert decide(0.1, 0.049, 0.05) == "helps"
    assert decide(-0.1, 0.049, 0.05) == "hurts"
    assert decide(0.1, 0.05, 0.05) == "no evidence"


def compared(effects: Mapping[str, float], *, noise: float = 0.01) -> list[Comparison]:
    """Comparisons of arms whose scores differ from the baseline's by the given effects."""
    random = np.random.default_rng(0)
    positive = np.arange(60) % 2 == 0
    probability: dict[str, Floats] = {arm: random.random((3, 60)) for arm in ("real", *effects)}
    predictions = Predictions(
        unit="study",
        names=tuple(map(str, range(60))),
        positive=positive,
        patient=np.arange(60),
        probability=probability,
        threshold={arm: np.full(3, 0.5) for arm in probability},
    )
    base = 0.8 + noise * random.normal(size=(3, 300))
    scored = {"real": Scored(np.full(3, 0.8), base)}
    for arm, effect in effects.items():
        scored[arm] = Scored(
            0.8 + effect + np.array([-1, 0, 1]) * noise, base + effect + noise * random.normal(size=(3, 300))
        )
    return compare(dict.fromkeys(effects, "real"), scored, predictions, config())


@pytest.mark.parametrize(
    ("effects", "expected", "headline"),
    [
        ({"real+synthetic": 0.2}, "helps", "Yes: they helped"),
        ({"real+synthetic": -0.2}, "hurts", "No: they hurt"),
        ({"real+synthetic": 0.005}, "no evidence", "No evidence that they help or hurt"),
        ({"real+synthetic": 0.0, "real+synthetic-x2": 0.2}, "helps", "They helped in 1 of 2 arms"),
        (
            {"real+synthetic": -0.2, "real+synthetic-x2": 0.2},
            "mixed",
            "It depends: some arms helped, others hurt",
        ),
        ({"real-duplicated": 0.2, "synthetic-only": -0.2}, "not asked", "Not asked: "),
        ({"synthetic-only": -0.2, "real+synthetic": 0.0}, "no evidence", "No evidence"),
    ],
)
def test_the_answer_is_about_synthetic_radiographs_added_to_real_ones(
    effects: Mapping[str, float], expected: str, headline: str
) -> None:
    verdict = conclude(compared(effects), firewall_holds=True)
    assert verdict.answer == expected
    assert answer(verdict).startswith(headline)


def test_a_broken_firewall_voids_every_answer() -> None:
    verdict = conclude(compared({"real+synthetic": 0.2}), firewall_holds=False)
    assert verdict.answer == "void"
    assert answer(verdict).startswith("No verdict")
    sentences = explain(verdict, [], config(), family=1, phantom=False, copied=0)
    assert "No number on this page proves anything" in sentences[0]
    assert conclude([], firewall_holds=False).answer == "void"


def test_the_lead_is_the_first_that_decides_and_not_the_strongest() -> None:
    found = compared({"real+synthetic": 0.0, "real+synthetic-x0.5": 0.15, "real+synthetic-x2": 0.3})
    lead = conclude(found, firewall_holds=True).lead
    assert lead is not None
    assert lead.arm == "real+synthetic-x0.5"


def test_holm_allows_for_all_arms() -> None:
    alone, among = (
        compared({"real+synthetic": 0.045} | dict.fromkeys(others, 0.0))[0]
        for others in ((), ("real-duplicated", "synthetic-only", "real+synthetic-x2"))
    )
    assert alone.p_holm == alone.p_value
    assert among.p_holm == pytest.approx(min(1, 4 * among.p_value))
    assert (among.detectable or 0) > (alone.detectable or 1) * 1.1


def test_an_interval_within_the_effect_of_interest_says_no_relevant_difference() -> None:
    (found,) = compared({"real+synthetic": 0.001}, noise=0.002)
    assert found.decision == "no evidence"
    assert found.irrelevant
    assert answer(conclude([found], firewall_holds=True)) == "No: any difference is too small to matter"


def test_explanations_carry_effect_interval_p_and_what_could_be_found() -> None:
    (found,) = compared({"real+synthetic": 0.005})
    sentences = explain(
        conclude([found], firewall_holds=True), [], config(), family=1, phantom=True, copied=0
    )
    text = " ".join(sentences)
    assert found.interval is not None
    low, high = found.interval
    for part in (
        f"{found.effect.value:+.3f}",
        f"{low:+.3f}".replace("-", "−"),
        f"{high:+.3f}",
        f"p = {found.p_holm:.3f}",
    ):
        assert part in text
    assert f"80% probability is {found.detectable:.3f}" in text
    assert "phantoms" in text
    assert "means over 3 seeds" in text
    assert "very networks" in " ".join(
        explain(
            conclude([found], firewall_holds=True), [], config(seeds=1), family=1, phantom=False, copied=0
        )
    )


def test_a_test_set_that_could_show_no_possible_change_says_so() -> None:
    """A score of 0.8 can fall by as much and no more."""
    (found,) = compared({"real+synthetic": 0.0}, noise=0.4)
    sentences = explain(
        conclude([found], firewall_holds=True), [], config(), family=1, phantom=True, copied=0
    )
    (told,) = [sentence for sentence in sentences if "80% probability" in sentence]
    assert found.detectable is not None
    assert found.detectable > found.largest == pytest.approx(0.8)
    assert found.blind
    assert f"not even the largest possible, {found.largest:.3f}," in told
    assert f"{found.detectable:.3f}" not in told


def test_the_paired_tests_see_the_predictions() -> None:
    """An arm that ranks and calls everything rightly against one that guesses."""
    random = np.random.default_rng(0)
    positive = np.arange(80) % 2 == 0
    right = np.where(positive, 0.9, 0.1) + random.normal(0, 0.01, (2, 80))
    predictions = Predictions(
        unit="image",
        names=tuple(map(str, range(80))),
        positive=positive,
        patient=np.arange(80),
        probability={"real": random.random((2, 80)), "real+synthetic": right},
        threshold={arm: np.full(2, 0.5) for arm in ("real", "real+synthetic")},
    )
    scored = {arm: Scored(np.zeros(2), np.zeros((2, 10))) for arm in ("real", "real+synthetic")}
    (found,) = compare({"real+synthetic": "real"}, scored, predictions, config(seeds=2))
    assert found.delong_holm < 1e-6
    assert found.mcnemar_holm < 1e-6
    assert all(only_real == 0 and only_arm > 20 for only_real, only_arm in found.mcnemar_counts)
    assert found.p_holm == 1
    assert found.detectable is None
    assert found.interval is None
    assert "no interval" in " ".join(
        explain(conclude([found], firewall_holds=True), [], config(), family=1, phantom=False, copied=0)
    )


def test_a_change_that_rounds_to_nothing_has_no_minus() -> None:
    assert (signed(-0.0002), signed(-0.0006), signed(0.25), number(-0.0001)) == (
        "+0.000",
        "−0.001",
        "+0.250",
        "0.000",
    )
