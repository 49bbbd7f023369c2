"""Learning curves: the verdict's score over the number of real images, and over that of extra ones."""

from collections.abc import Iterator, Mapping
from typing import Any

from mura_jobs.classifier.arms import Arm
from mura_jobs.report.config import ReportConfig

Plain = dict[str, Any]


def learning_curves(report: Mapping[str, Any], config: ReportConfig) -> Plain:
    """The curves as `report.json` holds them; one that has not two points anywhere is left out.

    `real`: arms that differ in the share of the real patients alone are a curve. `extra`: arms with all real
    images that differ in the amount of copies, or of synthetic images, alone are one, and `real` begins it.

    Args:
        report: its `arms` and `training`.
        config: which score the verdict is about.
    """
    points = list(_points(report, config))
    over_real: dict[str, list[Plain]] = {}
    over_extra: dict[str, list[Plain]] = {}
    for arm, point in points:
        if arm.has_real:
            name = arm.name.removesuffix(f"-f{arm.fraction:g}")
            over_real.setdefault(name, []).append(point | {"x": point["real"]})
        if arm.kind in ("real+synthetic", "real-duplicated") and arm.fraction == 1:
            over_extra.setdefault(arm.kind, []).append(point | {"x": point["extra"]})
    over_real = {name: found for name, found in over_real.items() if len(found) > 1}
    if max((len(found) for found in over_extra.values()), default=0) < 2:
        over_extra = {}
    begin = [point | {"x": 0.0} for arm, point in points if arm.kind == "real" and arm.fraction == 1]
    over_extra = {kind: [*begin, *found] for kind, found in over_extra.items()}
    return {"real": _curves(over_real), "extra": _curves(over_extra)}


def _curves(series: Mapping[str, list[Plain]]) -> list[Plain]:
    return [
        {"name": name, "points": sorted(points, key=lambda point: point["x"])}
        for name, points in series.items()
    ]


def _points(report: Mapping[str, Any], config: ReportConfig) -> Iterator[tuple[Arm, Plain]]:
    """Each arm with its score and the images it trained on (mean over seeds)."""
    for row, training in zip(report["arms"], report["training"], strict=True):
        images = training["mean"]
        yield (
            Arm.parse(row["arm"]),
            {
                "arm": row["arm"],
                **{
                    name: row[config.unit]["scores"][config.metric][name] for name in ("value", "low", "high")
                },
                "real": images["real"],
                "extra": images["copies"] + images["synthetic"],
            },
        )
