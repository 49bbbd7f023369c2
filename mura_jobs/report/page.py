"""The page: one HTML file that needs nothing else, neither network nor JavaScript."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from mura_jobs.report import words
from mura_jobs.report.config import ReportConfig
from mura_jobs.report.statistics import METRICS

SECTIONS = (
    ("arms", "Arms"),
    ("errors", "Right and wrong calls"),
    ("curves", "ROC and calibration"),
    ("classifiers", "Classifiers"),
    ("attention", "Where classifiers looked"),
    ("synthetic", "Synthetic radiographs"),
    ("data", "Data"),
    ("cleaning", "Cleaning"),
    ("firewall", "Split firewall"),
    ("lineage", "What ran where"),
    ("configuration", "Configuration"),
    ("method", "Method and limits"),
)

SMALL = 96
"""Side in pixels up to which radiographs are shown with their pixels as squares, not blurred."""


def render(
    report: Mapping[str, Any], pictures: Mapping[str, Any], config: ReportConfig, resolution: int
) -> str:
    """The page as HTML.

    Args:
        report: what `report.json` holds; every number on the page comes from it.
        pictures: pictures and lists of them by place on the page.
        config: what the numbers were made with.
        resolution: side of the radiographs in pixels.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "num": words.number,
        "signed": words.signed,
        "p": lambda value: words.p_value(value).removeprefix("p = ").removeprefix("p "),
        "count": lambda value: f"{value:,}",
        "tenths": lambda value: f"{value:,.1f}".removesuffix(".0"),
        "percent": lambda value: f"{value:.0%}",
        "duration": duration,
        "size": size,
    }
    folder = files("mura_jobs.report")
    template = environment.from_string((folder / "page.html").read_text("utf-8"))
    return template.render(
        r=report,
        pictures=pictures,
        css=Markup((folder / "page.css").read_text("utf-8")),  # noqa: S704 - our own file
        sections=SECTIONS,
        metrics=METRICS,
        gates=words.GATES,
        names=words.METRIC_NAMES,
        metric=words.METRIC_NAMES[config.metric],
        level=f"{config.level:.0%}",
        small=resolution <= SMALL,
    )


def duration(seconds: float) -> str:
    """A time span as people say it: "42 s", "3 min 05 s", "13 h 20 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def size(count: float) -> str:
    """A number of bytes with a binary unit."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
