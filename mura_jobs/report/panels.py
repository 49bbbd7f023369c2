"""The figures of the evidence, drawn from what `report.json` holds."""

from collections.abc import Mapping
from typing import Any

from mura_jobs.report.config import ReportConfig
from mura_jobs.report.figures import amounts, calibration_panel, forest, roc_panel
from mura_jobs.report.pictures import Picture
from mura_jobs.report.words import METRIC_NAMES, number, signed


def evidence_pictures(report: Mapping[str, Any], config: ReportConfig) -> dict[str, Any]:
    """Forest plot, ROC curves, calibration and, where arms differ in amounts, learning curves."""
    return {
        "forest": _forest(report, config),
        "roc": [_roc(arm, report, config) for arm in report["arms"]],
        "calibration": [_calibration(arm, config) for arm in report["arms"]],
        "learning": _learning(report, config),
    }


def _forest(report: Mapping[str, Any], config: ReportConfig) -> Picture | None:
    rows = report["comparisons"]
    if not rows:
        return None
    metric = f"{config.unit} {METRIC_NAMES[config.metric]}"
    found = "; ".join(
        f"{row['arm']} {signed(row['effect'])}"
        + (f" ({signed(row['interval'][0])} to {signed(row['interval'][1])})" if row["interval"] else "")
        for row in rows
    )
    return Picture(
        name="forest.svg",
        data=forest(rows, metric, config.level, config.effect_of_interest),
        alt=f"Change of {metric} against the baseline by arm: {found}",
        caption=(
            f"Change of {metric} against the baseline. The band marks changes smaller than the "
            f"{number(config.effect_of_interest)} of interest."
        ),
    )


def _roc(arm: Mapping[str, Any], report: Mapping[str, Any], config: ReportConfig) -> Picture:
    base = arm["baseline"]
    reference = next((other[config.unit]["roc"] for other in report["arms"] if other["arm"] == base), None)
    score = number(arm[config.unit]["scores"]["auroc"]["value"])
    return Picture(
        name=f"roc-{arm['arm']}.svg",
        data=roc_panel(arm["arm"], arm[config.unit]["roc"], base, reference),
        alt=f"ROC curves of {arm['arm']}, area {score} on average" + (f", beside {base}" if base else ""),
        caption=f"{arm['arm']}: area {score}",
    )


def _calibration(arm: Mapping[str, Any], config: ReportConfig) -> Picture:
    errors = arm[config.unit]["calibration_error"]
    error = number(sum(errors) / len(errors))
    return Picture(
        name=f"calibration-{arm['arm']}.svg",
        data=calibration_panel(arm["arm"], arm[config.unit]["calibration"]),
        alt=f"Calibration curves of {arm['arm']}, one for each seed; mean error {error}",
        caption=f"{arm['arm']}: error {error}",
    )


def _learning(report: Mapping[str, Any], config: ReportConfig) -> list[Picture]:
    """One picture for each kind of learning curves that the arms give."""
    xlabels = {"real": "real images in training", "extra": "extra images in training"}
    metric = f"{config.unit} {METRIC_NAMES[config.metric]}"
    found = []
    for kind, curves in report["learning_curves"].items():
        if not curves:
            continue
        series = {
            curve["name"]: [
                {"x": point["x"]} | {end: _or(point[end], point["value"]) for end in ("value", "low", "high")}
                for point in curve["points"]
            ]
            for curve in curves
        }
        told = "; ".join(
            f"{name}: " + ", ".join(f"{number(point['value'])} at {point['x']:,.0f}" for point in points)
            for name, points in series.items()
        )
        found.append(
            Picture(
                name=f"learning-{kind}.svg",
                data=amounts(series, title=metric, xlabel=xlabels[kind], ylabel=metric, log=kind == "real"),
                alt=f"{metric} over {xlabels[kind]}: {told}",
                caption=f"Over {xlabels[kind]}, with {config.level:.0%} intervals",
            )
        )
    return found


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
