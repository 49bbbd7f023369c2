"""An evaluation as people read it on a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mura_jobs.report.words import number

WIDTH = 104
"""Columns that a table takes; narrower terminals fold its lines rather than cut its numbers off."""

SHOWN = ("auroc", "accuracy", "kappa", "sensitivity", "specificity")


def show_evaluation(metrics: Mapping[str, Any]) -> None:
    """Print what `metrics.json` of an evaluation holds on standard output."""
    data, level = metrics["data"], metrics["level"]
    console = Console(highlight=False, width=max(Console().width, WIDTH))
    for unit, plural in (("image", "images"), ("study", "studies")):
        table = Table(box=None, pad_edge=False)
        table.add_column("arm", no_wrap=True)
        table.add_column("seeds", justify="right")
        for name in SHOWN:
            table.add_column("AUROC" if name == "auroc" else name, justify="right", no_wrap=True)
        for arm in metrics["arms"]:
            cells = [_cell(arm[unit]["scores"][name]) for name in SHOWN]
            table.add_row(escape(arm["arm"]), str(len(arm["classifiers"])), *cells)
        console.print(
            f"over {data[plural]:,} {plural} of {data['patients']:,} patients, {level:.0%} intervals:"
        )
        console.print(table)
    if data["trained_on"]:
        known = f"{data['trained_on']:,} of these images are, pixel for pixel, in the run's train or select"
        console.print(f"[yellow]{known}[/]")


def _cell(score: Mapping[str, Any]) -> str:
    ends = "" if score["low"] is None else f"\n{number(score['low'])}–{number(score['high'])}"
    return number(score["value"]) + ends
