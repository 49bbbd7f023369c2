"""Every score of every arm and every comparison, as plain values for `report.json` and the page."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from mura_jobs.classifier.arms import Arm
from mura_jobs.job.randomness import numpy_stream
from mura_jobs.report.bootstrap import patient_resamples, replicates
from mura_jobs.report.config import ReportConfig, ScoreSettings
from mura_jobs.report.inference import estimate
from mura_jobs.report.predictions import Predictions
from mura_jobs.report.statistics import BOUNDS, METRICS, Floats, calibration, confusion, roc, scores
from mura_jobs.report.verdict import Comparison, Scored, baselines, compare, controls

ROC_RATES: Floats = np.linspace(0, 1, 201)
"""False positive rates at which ROC curves of several seeds are averaged."""

Plain = dict[str, Any]
"""What JSON can hold."""


def score_arms(predictions: Predictions, config: ScoreSettings) -> dict[str, dict[str, Scored]]:
    """Every score of every arm: by arm, then by metric."""
    weights_BP = patient_resamples(
        predictions.positive,
        predictions.patient,
        config.resamples,
        numpy_stream(config.seed, "bootstrap", predictions.unit),
    )
    return {
        arm: _score(predictions, predictions.probability[arm], predictions.threshold[arm], weights_BP)
        for arm in predictions.probability
    }


def describe_arm(
    arm: str, predictions: Predictions, scored: Mapping[str, Scored], config: ScoreSettings
) -> Plain:
    """One arm's scores with intervals, its confusion matrices, calibration and ROC curve."""
    probability_SN, threshold_S = predictions.probability[arm], predictions.threshold[arm]
    pairs = list(zip(probability_SN, threshold_S.tolist(), strict=True))
    positive = predictions.positive
    tables = [confusion(positive, row, threshold) for row, threshold in pairs]
    curves = [calibration(positive, row, config.calibration_bins) for row, _ in pairs]
    return {
        "scores": {name: _summary(scored[name], predictions.patients, config, name) for name in METRICS},
        "confusion": tables,
        "confusion_mean": {cell: float(np.mean([table[cell] for table in tables])) for cell in tables[0]},
        "thresholds": threshold_S.tolist(),
        "calibration": [asdict(curve) for curve in curves],
        "calibration_error": [curve.error for curve in curves],
        "calibration_error_mean": float(np.mean([curve.error for curve in curves])),
        "roc": {
            "false_positive_rate": ROC_RATES.tolist(),
            "sensitivity": [roc(positive, row, ROC_RATES).tolist() for row, _ in pairs],
        },
    }


def weigh(
    images: Predictions, studies: Predictions, config: ReportConfig
) -> tuple[Plain, list[Comparison], list[Comparison]]:
    """All scores and comparisons.

    Returns:
        the plain values, the comparisons with the baselines, on which the verdict rests, and those with the
        controls.
    """
    units = {"study": studies, "image": images}
    scored = {unit: score_arms(predictions, config) for unit, predictions in units.items()}
    decisive = {arm: metrics[config.metric] for arm, metrics in scored[config.unit].items()}
    pairs = baselines(config.arms)
    comparisons = compare(pairs, decisive, units[config.unit], config)
    against_controls = compare(controls(config.arms), decisive, units[config.unit], config)
    plain: Plain = {
        "arms": [
            {
                "arm": arm,
                "kind": Arm.parse(arm).kind,
                "fraction": Arm.parse(arm).fraction,
                "baseline": pairs.get(arm),
                **{unit: describe_arm(arm, units[unit], scored[unit][arm], config) for unit in units},
            }
            for arm in config.arms
        ],
        "effects": [
            {"arm": arm, "baseline": base}
            | {unit: _effects(scored[unit][arm], scored[unit][base], units[unit], config) for unit in units}
            for arm, base in pairs.items()
        ],
        "comparisons": [plain_comparison(comparison) for comparison in comparisons],
        "control_comparisons": [plain_comparison(comparison) for comparison in against_controls],
        "test_set": {
            "patients": images.patients,
            "studies": len(studies.names),
            "images": len(images.names),
            "positive_studies": int(studies.positive.sum()),
            "positive_images": int(images.positive.sum()),
        },
    }
    return plain, comparisons, against_controls


def plain_comparison(comparison: Comparison) -> Plain:
    """A comparison as JSON holds it."""
    plain = asdict(comparison)
    effect = plain.pop("effect")
    return plain | {
        "blind": comparison.blind,
        "effect": effect["value"],
        "standard_error": effect["error"],
        "degrees_of_freedom": effect["freedom"],
        "patient_standard_error": effect["patient_error"],
    }


def _score(
    predictions: Predictions, probability_SN: Floats, threshold_S: Floats, weights_BP: Floats
) -> dict[str, Scored]:
    positive, patient = predictions.positive, predictions.patient
    pairs = list(zip(probability_SN, threshold_S.tolist(), strict=True))
    point = [scores(positive, row, threshold) for row, threshold in pairs]
    drawn = [replicates(positive, row, threshold, patient, weights_BP) for row, threshold in pairs]
    return {
        name: Scored(
            seeds=np.array([one[name] for one in point]), replicates=np.stack([one[name] for one in drawn])
        )
        for name in METRICS
    }


def _summary(scored: Scored, patients: int, config: ScoreSettings, metric: str) -> Plain:
    found = estimate(scored.seeds, scored.replicates, patients)
    interval = found.bounded_interval(config.level, *BOUNDS[metric])
    return _plain(found.value, interval) | {"seeds": scored.seeds.tolist()}


def _effects(
    arm: Mapping[str, Scored], base: Mapping[str, Scored], predictions: Predictions, config: ReportConfig
) -> Plain:
    found = {
        name: estimate(
            arm[name].seeds - base[name].seeds,
            arm[name].replicates - base[name].replicates,
            predictions.patients,
        )
        for name in METRICS
    }
    return {name: _plain(one.value, one.interval(config.level)) for name, one in found.items()}


def _plain(value: float, interval: tuple[float, float] | None) -> Plain:
    low, high = interval or (None, None)
    return {"value": value, "low": low, "high": high}
