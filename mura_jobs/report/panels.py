"""The figures of the evidence, drawn from what `report.json` holds."""

from collections.abc import Mapping
from typing import Any

from mura_jobs.classifier.arms import Arm
from mura_jobs.report.config import ReportConfig
from mura_jobs.report.figures import amounts, calibration_panel, forest, roc_panel
from mura_jobs.report.pictures import Picture
from mura_jobs.report.words import METRIC_NAMES, number, signed


def evidence_pictures(report: Mapping[str, Any], config: ReportConfig) -> dict[str, Any]:
    """Forest plot, ROC curves, calibration and, where arms differ in amounts, scores over amounts."""
    return {
        "forest": _forest(report, config),
        "roc": [_roc(arm, report, config) for arm in report["arms"]],
        "calibration": [_calibration(arm, config) for arm in report["arms"]],
        "amounts": [picture for picture in (_extra(report, config), _fraction(report, config)) if picture],
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


def _extra(report: Mapping[str, Any], config: ReportConfig) -> Picture | None:
    """Scores over the number of extra images, if one kind of arm comes in several amounts."""
    series: dict[str, list[dict[str, float]]] = {}
    for arm, point in _points(report, config):
        if arm.kind in ("real+synthetic", "real-duplicated") and arm.fraction == 1:
            series.setdefault(arm.kind, []).append(point | {"x": point["extra"]})
    if max((len(points) for points in series.values()), default=0) < 2:
        return None
    for arm, point in _points(report, config):
        if arm.kind == "real" and arm.fraction == 1:
            series = {kind: [point | {"x": 0.0}, *points] for kind, points in series.items()}
    return _amounts("amounts-extra.svg", series, "extra images in training", config)


def _fraction(report: Mapping[str, Any], config: ReportConfig) -> Picture | None:
    """Scores over the number of real images, if arms use several shares of them."""
    series: dict[str, list[dict[str, float]]] = {}
    for arm, point in _points(report, config):
        if arm.has_real:
            name = arm.name.removesuffix(f"-f{arm.fraction:g}")
            series.setdefault(name, []).append(point | {"x": point["real"]})
    several = {name: points for name, points in series.items() if len(points) > 1}
    return _amounts("amounts-real.svg", several, "real images in training", config) if several else None


def _amounts(
    name: str, series: Mapping[str, list[dict[str, float]]], xlabel: str, config: ReportConfig
) -> Picture:
    metric = f"{config.unit} {METRIC_NAMES[config.metric]}"
    ordered = {kind: sorted(points, key=lambda point: point["x"]) for kind, points in series.items()}
    found = "; ".join(
        f"{kind}: " + ", ".join(f"{number(point['value'])} at {point['x']:,.0f}" for point in points)
        for kind, points in ordered.items()
    )
    return Picture(
        name=name,
        data=amounts(ordered, title=metric, xlabel=xlabel, ylabel=metric),
        alt=f"{metric} over {xlabel}: {found}",
    )


def _points(report: Mapping[str, Any], config: ReportConfig) -> list[tuple[Arm, dict[str, float]]]:
    """Each arm with its score and the images it trained on (mean over seeds)."""
    found = []
    for row, training in zip(report["arms"], report["training"], strict=True):
        images = training["mean"]
        score = row[config.unit]["scores"][config.metric]
        value = score["value"]
        point = {
            "value": value,
            "low": value if score["low"] is None else score["low"],
            "high": value if score["high"] is None else score["high"],
            "real": images["real"],
            "extra": images["copies"] + images["synthetic"],
        }
        found.append((Arm.parse(row["arm"]), point))
    return found
