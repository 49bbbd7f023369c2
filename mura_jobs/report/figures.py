"""Figures as SVG: small, sharp in print, told apart by line and mark as well as by colour.

Each is narrow enough to be read on a phone and stands on white in either colour scheme. The same input gives
the same bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
import io
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import RcKeyType
import numpy as np

from mura_jobs.report.statistics import Floats

# Okabe & Ito's colours, which the colour-blind tell apart
BLUE, VERMILLION, GREEN, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#aa4499", "#56b4e9"
INK, GREY, RULE = "#1d2733", "#7b8794", "#d5dbe1"

_STYLE: dict[RcKeyType, Any] = {
    "svg.hashsalt": "mura-jobs",  # ids in the file depend on the drawing alone
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "text.color": INK,
    "text.parse_math": False,  # a "$" in a name is a "$"
    "xtick.color": INK,
    "ytick.color": INK,
}

PANEL = (4.4, 3.4)
"""Width and height of a panel in inches."""

SQUARE = (3.9, 3.7)
"""The same for a panel whose axes have the same scale."""


def forest(rows: Sequence[Mapping[str, Any]], metric: str, level: float, of_interest: float) -> bytes:
    """Effect and interval of each arm against its baseline; right of 0 is better.

    Args:
        rows: comparisons, as `plain_comparison` gives them.
        metric: the score's name.
        level: confidence level.
        of_interest: the smallest effect that matters, drawn as a band about 0.
    """
    with _figure((4.8, 1.2 + 0.62 * len(rows))) as (figure, axes):
        axes.axvspan(-of_interest, of_interest, color=SKY, alpha=0.18, lw=0)
        axes.axvline(0, color=INK, lw=1)
        for at, row in enumerate(rows):
            color, mark = _decision_style(row["decision"])
            seeds = row["seed_effects"]
            if row["interval"]:
                axes.plot(row["interval"], [at, at], color=color, lw=2.2, solid_capstyle="butt")
            axes.plot(row["effect"], at, mark, color=color, markersize=8)
            axes.plot(seeds, [at + 0.2] * len(seeds), "|", color=GREY, markersize=6)
            place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 9.5}
            axes.text(0, at - 0.36, row["arm"], ha="left", fontweight="bold", **place)
            axes.text(1, at - 0.36, f"against {row['baseline']}", ha="right", color=GREY, **place)
        axes.set_yticks([])
        axes.set_ylim(len(rows) - 0.5, -0.62)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(f"change of {metric}, {level:.0%} interval; grey ticks: seeds")
        axes.margins(x=0.05)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        above: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "va": "bottom", "fontsize": 9}
        axes.text(0, 1.01, "◂ worse ", ha="right", **above)
        axes.text(0, 1.01, " better ▸", ha="left", **above)
        return _svg(figure)


def roc_panel(
    arm: str, curve: Mapping[str, Any], baseline: str | None, reference: Mapping[str, Any] | None
) -> bytes:
    """ROC curves of an arm: each seed thin, their mean bold; the baseline's mean dashed."""
    with _figure(SQUARE) as (figure, axes):
        rate = curve["false_positive_rate"]
        axes.plot([0, 1], [0, 1], color=RULE, lw=1)
        for row in curve["sensitivity"]:
            axes.plot(rate, row, color=BLUE, lw=0.8, alpha=0.4)
        axes.plot(rate, np.mean(curve["sensitivity"], axis=0), color=BLUE, lw=2.2, label=arm)
        if reference is not None:
            mean = np.mean(reference["sensitivity"], axis=0)
            axes.plot(rate, mean, color=VERMILLION, lw=1.6, ls=(0, (4, 2)), label=baseline)
        axes.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.set_aspect("equal")
        axes.legend(loc="lower right")
        return _svg(figure)


def calibration_panel(arm: str, curves: Sequence[Mapping[str, Any]]) -> bytes:
    """Observed frequency over predicted probability, one line a seed; the diagonal is perfect calibration."""
    with _figure(SQUARE) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=(0, (4, 2)))
        for curve in curves:
            axes.plot(
                curve["predicted"], curve["observed"], "o-", color=BLUE, lw=1.2, markersize=4, alpha=0.75
            )
        axes.set(
            title=arm,
            xlabel="predicted probability of positive",
            ylabel="observed share of positives",
            xlim=(-0.02, 1.02),
            ylim=(-0.02, 1.02),
        )
        axes.set_aspect("equal")
        return _svg(figure)


def lines(series: Mapping[str, tuple[Floats, Floats]], *, title: str, xlabel: str) -> bytes:
    """Named curves over a common axis, told apart by colour and dash."""
    styles = [(BLUE, "-"), (VERMILLION, (0, (5, 2))), (GREEN, (0, (1, 1))), (PURPLE, (0, (5, 1, 1, 1)))]
    with _figure(PANEL) as (figure, axes):
        for at, (name, (x, y)) in enumerate(series.items()):
            color, dash = styles[at % len(styles)]
            mark = "o" if len(x) < 12 else None
            axes.plot(x, y, color=color, ls=dash, label=name, marker=mark, markersize=3.5)
        axes.set(title=title, xlabel=xlabel)
        axes.legend()
        return _svg(figure)


def bundle(
    groups: Mapping[str, Sequence[tuple[Floats, Floats]]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    limits: tuple[float, float],
) -> bytes:
    """One line a seed; groups (train, select) told apart by colour and dash. `limits` are those of y."""
    styles = [(BLUE, "-"), (VERMILLION, (0, (4, 1.5)))]
    with _figure(PANEL) as (figure, axes):
        for (name, curves), (color, dash) in zip(groups.items(), styles, strict=False):
            for at, (x, y) in enumerate(curves):
                axes.plot(x, y, color=color, ls=dash, lw=1.3, alpha=0.8, label=name if at == 0 else None)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        margin = 0.05 * (limits[1] - limits[0]) or 0.01
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel, ylim=(limits[0] - margin, limits[1] + margin))
        axes.legend()
        return _svg(figure)


def distances(synthetic: Floats, held_out: Floats, threshold: float) -> bytes:
    """How near images lie to the training images: synthetic ones filled, held-out real ones outlined."""
    top = max(float(synthetic.max()), float(held_out.max()), threshold)
    edges = np.linspace(0, top * 1.02, 41)
    with _figure(PANEL) as (figure, axes):
        shares = [np.histogram(values, edges)[0] / len(values) for values in (synthetic, held_out)]
        axes.stairs(
            shares[0], edges, fill=True, color=SKY, alpha=0.6, label=f"synthetic ({len(synthetic):,})"
        )
        axes.stairs(shares[1], edges, color=INK, lw=1.4, label=f"held-out real ({len(held_out):,})")
        axes.axvline(threshold, color=VERMILLION, ls=(0, (4, 2)), label="gate")
        axes.set(xlabel="distance to the nearest training radiograph", ylabel="share of images")
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderpad=0, handlelength=1.2, columnspacing=1.2
        )
        return _svg(figure)


def amounts(
    series: Mapping[str, Sequence[Mapping[str, float]]], *, title: str, xlabel: str, ylabel: str, log: bool
) -> bytes:
    """A score with its interval over an amount of images; points have x, value, low and high.

    Curves of the same x stand a little apart, so that their intervals can be told from each other.
    """
    styles = [
        (VERMILLION, "-", "o"),
        (BLUE, (0, (5, 2)), "s"),
        (GREEN, (0, (1, 1)), "^"),
        (PURPLE, "-.", "D"),
    ]
    with _figure(PANEL) as (figure, axes):
        widest = max(point["x"] for points in series.values() for point in points)
        for at, (name, points) in enumerate(series.items()):
            color, dash, mark = styles[at % len(styles)]
            x, value, low, high = (
                np.array([point[k] for point in points]) for k in ("x", "value", "low", "high")
            )
            apart = at - (len(series) - 1) / 2
            x = x * 1.03**apart if log else x + 0.008 * widest * apart
            bars = [value - low, high - value]
            axes.errorbar(
                x, value, bars, color=color, ls=dash, marker=mark, capsize=3, elinewidth=1, label=name
            )
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        if log:
            ticks = sorted({round(point["x"]) for points in series.values() for point in points})
            axes.set_xscale("log")
            axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
            axes.minorticks_off()
        axes.legend(loc="lower right")
        return _svg(figure)


def _decision_style(decision: str) -> tuple[str, str]:
    return {"helps": (GREEN, "^"), "hurts": (VERMILLION, "v"), "no evidence": (INK, "o")}[decision]


@contextmanager
def _figure(size: tuple[float, float]) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one axes, styled; no state is left behind."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.add_subplot()


def _svg(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()
