"""The findings in sentences, each with its numbers."""

from collections.abc import Sequence

from mura_jobs.report.config import ReportConfig
from mura_jobs.report.verdict import Comparison, Verdict

METRIC_NAMES = {
    "auroc": "AUROC",
    "accuracy": "accuracy",
    "kappa": "Cohen’s kappa",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier score",
}

ANSWERS = {
    "helps": "Yes: they helped",
    "hurts": "No: they hurt",
    "no evidence": "No evidence that they help or hurt",
    "mixed": "It depends: some arms helped, others hurt",
    "not asked": "Not asked: no arm adds synthetic radiographs to real ones",
    "void": "No verdict: training and test are not separate",
}
"""Answers to the page's question, "Do synthetic radiographs make the classifier better?"."""

GATES = {
    "memorisation": "too near a training image, in pixels",
    "memorisation_features": "the same, in features",
    "duplicates": "too near another synthetic one",
    "label_agreement": "unlike its label",
    "realism": "too far from real ones",
}
"""What each gate of `synthesize` rejects."""

_PAST = {"helps": "helped", "hurts": "hurt"}


def number(value: float) -> str:
    """A score with three decimals, with a true minus sign."""
    return f"{_rounded(value):.3f}".replace("-", "−")


def signed(value: float) -> str:
    """A difference with three decimals and its sign."""
    return f"{_rounded(value):+.3f}".replace("-", "−")


def _rounded(value: float) -> float:
    """To three decimals, where a zero has no sign."""
    return round(value, 3) + 0.0


def p_value(value: float) -> str:
    """A p-value as it is printed: "p = 0.031", "p < 0.001"."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def answer(verdict: Verdict) -> str:
    """The headline."""
    same = sum(one.decision == verdict.answer for one in verdict.asked)
    if verdict.answer in ("helps", "hurts") and same < len(verdict.asked):
        return f"They {_PAST[verdict.answer]} in {same} of {len(verdict.asked)} arms"
    if verdict.answer == "no evidence" and all(one.irrelevant for one in verdict.asked):
        return "No: any difference is too small to matter"
    return ANSWERS[verdict.answer]


def explain(
    verdict: Verdict,
    against_controls: Sequence[Comparison],
    config: ReportConfig,
    *,
    family: int,
    phantom: bool,
    copied: int,
) -> list[str]:
    """What the headline rests on, as sentences.

    Args:
        verdict: the answer.
        against_controls: the arms with synthetic radiographs against those with copies of real ones.
        config: metric, level, power and seeds.
        family: comparisons that Holm's procedure allowed for.
        phantom: whether the radiographs were drawn by a program.
        copied: test images that are in train or select too.
    """
    lead = verdict.lead
    sentences = []
    if verdict.answer == "void":
        sentences.append("A check of the split, below, is broken. No number on this page proves anything.")
    if copied:
        images = "1 test image is" if copied == 1 else f"{copied:,} test images are"
        sentences.append(
            f"{images} also in train or select, under another patient’s name: scores may be too high."
        )
    if config.imported:
        sentences.append(
            "The synthetic radiographs were imported: whether their generators saw test radiographs "
            "is not on record."
        )
    if lead is None:
        return [*sentences, "To ask the question, add an arm such as real+synthetic to the run."]
    if phantom:
        sentences.append(
            "The radiographs are phantoms, drawn by a program: nothing here is evidence about patients."
        )
    if len(verdict.asked) > 1:
        counts = [
            f"{sum(one.decision == decision for one in verdict.asked)} {words}"
            for decision, words in (("helps", "helped"), ("hurts", "hurt"), ("no evidence", "showed neither"))
        ]
        sentences.append(f"Of {len(verdict.asked)} arms that add synthetic radiographs, {', '.join(counts)}.")
    sentences += [_effect(lead, config, family), _power(lead, config)]
    control = next((c for c in against_controls if c.arm == lead.arm), None)
    if control is not None:
        sentences.append(_control(control, config))
    sentences.append(_seeds(config.seeds))
    return sentences


def _effect(lead: Comparison, config: ReportConfig, family: int) -> str:
    allowance = f", allowing for {family} comparisons" if family > 1 else ""
    score = f"{config.unit} {METRIC_NAMES[config.metric]}"
    return (
        f"From {lead.baseline} to {lead.arm}, {score} changed by {signed(lead.effect.value)} "
        f"({_interval(lead, config)}; {p_value(lead.p_holm)}{allowance})."
    )


def _power(lead: Comparison, config: ReportConfig) -> str:
    if lead.detectable is None:
        return "Both arms predict exactly the same: nothing tells what could have been detected."
    if lead.blind:
        return (
            f"This test set is too small: no true change, not even the largest possible, "
            f"{number(lead.largest)}, would have been shown with {config.power:.0%} probability."
        )
    sentence = (
        f"The smallest true change that this test set would have shown with {config.power:.0%} probability "
        f"is {number(lead.detectable)}"
    )
    if lead.decision != "no evidence":
        return f"{sentence}."
    interest = number(config.effect_of_interest)
    if lead.detectable > config.effect_of_interest:
        return f"{sentence}, more than the {interest} of interest: effects in between could be missed."
    return f"{sentence}, less than the {interest} of interest."


def _control(control: Comparison, config: ReportConfig) -> str:
    meaning = {
        "helps": "synthetic radiographs did more than copies",
        "hurts": "copies did better than synthetic radiographs",
        "no evidence": "they were not shown to differ from copies",
    }[control.decision]
    return (
        f"Against the control {control.baseline}, which adds as many copies of real radiographs, the change "
        f"was {signed(control.effect.value)} ({_interval(control, config)}; {p_value(control.p_holm)}): "
        f"{meaning}."
    )


def _interval(comparison: Comparison, config: ReportConfig) -> str:
    if comparison.interval is None:
        return "no interval, as nothing varies"
    low, high = comparison.interval
    return f"{config.level:.0%} interval {signed(low)} to {signed(high)}"


def _seeds(seeds: int) -> str:
    if seeds == 1:
        return "With one seed, this is about these very networks, not about the way they were trained."
    return f"Effects are means over {seeds} seeds; intervals allow for other patients and other seeds."
