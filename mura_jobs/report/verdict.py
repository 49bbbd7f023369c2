"""From estimates to an answer: helps, hurts, or no evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mura_jobs.classifier.arms import Arm
from mura_jobs.report.config import ReportSettings
from mura_jobs.report.inference import Estimate, estimate
from mura_jobs.report.paired import McNemar, delong, holm, mcnemar, over_seeds
from mura_jobs.report.predictions import Predictions
from mura_jobs.report.statistics import BOUNDS, Floats

Decision = Literal["helps", "hurts", "no evidence"]
Answer = Literal["helps", "hurts", "no evidence", "mixed", "not asked", "void"]


@dataclass(frozen=True)
class Scored:
    """One score of one arm."""

    seeds: Floats
    """On the test set, shape (S,) over seeds."""
    replicates: Floats
    """On resamples of the test patients, shape (S, B)."""


@dataclass(frozen=True)
class Comparison:
    """An arm against the arm that it is compared with; effects are arm minus baseline."""

    arm: str
    baseline: str
    effect: Estimate
    seed_effects: tuple[float, ...]
    """The paired difference for each seed."""
    interval: tuple[float, float] | None
    """Of this comparison alone; None where the difference is the same whatever is resampled."""
    patient_interval: tuple[float, float] | None
    """For these very networks: over patients alone."""
    p_value: float
    p_holm: float
    """Adjusted for all comparisons of the same family."""
    detectable: float | None
    """The smallest true effect that would have been found with the configured power, at Holm's strictest
    level; None where the arms predict the same."""
    largest: float
    """The most that a true effect could be, up or down from the baseline's score."""
    delong_p: tuple[float, ...]
    """DeLong's p for each seed."""
    delong_holm: float
    mcnemar_counts: tuple[tuple[int, int], ...]
    """Items that only the baseline and only the arm called rightly, for each seed."""
    mcnemar_p: tuple[float, ...]
    mcnemar_holm: float
    decision: Decision
    irrelevant: bool
    """Whether the interval excludes every effect of interest."""

    @property
    def blind(self) -> bool:
        """Whether no possible effect would have been found with the configured power."""
        return self.detectable is not None and self.detectable > self.largest


@dataclass(frozen=True)
class Verdict:
    """The answer to the run's question, and the comparison it rests on."""

    answer: Answer
    asked: tuple[Comparison, ...]
    """The comparisons that add synthetic radiographs to real ones, in the run's order."""
    lead: Comparison | None


def baselines(arms: Sequence[str]) -> dict[str, str]:
    """What each arm is compared with: `real` with the same share of real patients, else the first arm.

    `real` arms are compared with nothing: less data is not a question of this experiment.
    """
    parsed = [Arm.parse(arm) for arm in arms]
    real = {arm.fraction: arm.name for arm in parsed if arm.kind == "real"}
    return {
        arm.name: real.get(arm.fraction, arms[0])
        for arm in parsed
        if arm.kind != "real" and arm.name != arms[0]
    }


def controls(arms: Sequence[str]) -> dict[str, str]:
    """For each `real+synthetic` arm, the trained arm with as many copies of real images in their place."""
    parsed = [Arm.parse(arm) for arm in arms]
    copies = {(arm.amount, arm.fraction): arm.name for arm in parsed if arm.kind == "real-duplicated"}
    return {
        arm.name: copies[arm.amount, arm.fraction]
        for arm in parsed
        if arm.kind == "real+synthetic" and (arm.amount, arm.fraction) in copies
    }


def compare(
    pairs: Mapping[str, str],
    scored: Mapping[str, Scored],
    predictions: Predictions,
    settings: ReportSettings,
) -> list[Comparison]:
    """Compare each arm with its baseline; the pairs are one family for Holm's procedure.

    Args:
        pairs: baseline by arm.
        scored: the verdict's score of every arm.
        predictions: what the paired tests look at.
        settings: level, power and effect of interest.
    """
    alpha = 1 - settings.level
    effects = {arm: _effect(scored[arm], scored[base], predictions.patients) for arm, base in pairs.items()}
    delongs = {arm: _delong(predictions, arm, base) for arm, base in pairs.items()}
    counts = {arm: _mcnemar(predictions, arm, base) for arm, base in pairs.items()}
    adjusted = holm([effect.p_value for effect in effects.values()])
    adjusted_delong = holm([over_seeds(p) for p in delongs.values()])
    adjusted_mcnemar = holm([over_seeds([table.p_value for table in tables]) for tables in counts.values()])
    found = []
    for (arm, base), p_holm, delong_holm, mcnemar_holm in zip(
        pairs.items(), adjusted, adjusted_delong, adjusted_mcnemar, strict=True
    ):
        effect = effects[arm]
        interval = effect.interval(settings.level)
        fixed = Estimate(effect.value, effect.patient_error, predictions.patients - 1, effect.patient_error)
        found.append(
            Comparison(
                arm=arm,
                baseline=base,
                effect=effect,
                seed_effects=tuple((scored[arm].seeds - scored[base].seeds).tolist()),
                interval=interval,
                patient_interval=fixed.interval(settings.level),
                p_value=effect.p_value,
                p_holm=p_holm,
                detectable=effect.detectable(alpha / len(pairs), settings.power),
                largest=_room(float(scored[base].seeds.mean()), *BOUNDS[settings.metric]),
                delong_p=tuple(delongs[arm]),
                delong_holm=delong_holm,
                mcnemar_counts=tuple((table.only_first, table.only_second) for table in counts[arm]),
                mcnemar_p=tuple(table.p_value for table in counts[arm]),
                mcnemar_holm=mcnemar_holm,
                decision=decide(effect.value, p_holm, alpha),
                irrelevant=interval is not None and max(map(abs, interval)) < settings.effect_of_interest,
            )
        )
    return found


def _room(score: float, least: float, most: float) -> float:
    return max(score - least, most - score)


def decide(effect: float, p_holm: float, alpha: float) -> Decision:
    """Two-sided: a direction is only named where the adjusted p is below alpha."""
    if p_holm >= alpha:
        return "no evidence"
    return "helps" if effect > 0 else "hurts"


def conclude(comparisons: Sequence[Comparison], *, firewall_holds: bool) -> Verdict:
    """The answer over all `real+synthetic` arms; each was tested at a level that allows for all the others.

    The lead is the first arm in the run's order, of those that decide if any does: the strongest would be
    flattered by having been chosen. A broken firewall between training and test voids every answer.
    """
    asked = tuple(c for c in comparisons if Arm.parse(c.arm).kind == "real+synthetic")
    if not asked:
        return Verdict("not asked" if firewall_holds else "void", (), None)
    decided = [c for c in asked if c.decision != "no evidence"]
    lead = decided[0] if decided else asked[0]
    if not firewall_holds:
        return Verdict("void", asked, lead)
    match {c.decision for c in decided}:
        case set() as none if not none:
            return Verdict("no evidence", asked, lead)
        case directions if len(directions) == 1:
            return Verdict(lead.decision, asked, lead)
        case _:
            return Verdict("mixed", asked, lead)


def _effect(arm: Scored, baseline: Scored, patients: int) -> Estimate:
    return estimate(arm.seeds - baseline.seeds, arm.replicates - baseline.replicates, patients)


def _delong(predictions: Predictions, arm: str, baseline: str) -> list[float]:
    pairs = zip(predictions.probability[baseline], predictions.probability[arm], strict=True)
    return [delong(predictions.positive, base_N, arm_N).p_value for base_N, arm_N in pairs]


def _mcnemar(predictions: Predictions, arm: str, baseline: str) -> list[McNemar]:
    right = {
        name: (predictions.probability[name] >= predictions.threshold[name][:, np.newaxis])
        == predictions.positive
        for name in (arm, baseline)
    }
    return [mcnemar(base_N, arm_N) for base_N, arm_N in zip(right[baseline], right[arm], strict=True)]
