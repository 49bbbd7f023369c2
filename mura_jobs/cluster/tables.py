"""Status and plan as people read them."""

from collections.abc import Sequence
from datetime import timedelta

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mura_jobs.cluster.plan import Step
from mura_jobs.cluster.status import Status

COLORS = {"published": "green", "running": "cyan", "silent": "yellow", "stopped": "yellow", "failed": "red"}


def show_status(status: Status) -> None:
    """Print a run's state on standard output."""
    table = _table("stage", "state", "done", "left", "device h", "")
    for one in status.instances:
        color = COLORS.get(one.state, "dim")
        table.add_row(
            escape(one.place),
            f"[{color}]{one.state}[/]",
            "" if one.share is None else f"{one.share:.0%}",
            "" if not one.left_seconds else str(timedelta(seconds=round(one.left_seconds))),
            f"{one.device_seconds / 3600:.2f}" if one.device_seconds else "",
            escape(one.note),
        )
    left, known = status.left
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"run {escape(status.run)}: {status.published} of {len(status.instances)} published, "
        f"{status.device_hours:.2f} device-hours, "
        + (
            "done"
            if status.published == len(status.instances)
            else f"{'' if known else 'at least '}{left} left"
        )
    )


def show_plan(steps: list[Step]) -> None:
    """Print what a run would do on standard output."""
    table = _table("stage", "state", "needs", "took before", "on")
    for step in steps:
        color = {"published": "green", "conflict": "red"}.get(step.state, "cyan")
        table.add_row(
            escape(step.place),
            f"[{color}]{step.state}[/]",
            "" if step.state == "published" else _listed(step.missing),
            ""
            if step.seconds is None
            else f"{timedelta(seconds=round(step.seconds))} ({escape(step.example)})",
            escape(", ".join(sorted(set(step.devices)))),
        )
    console = Console(highlight=False)
    console.print(table)
    for step in steps:
        for difference in step.differences:
            console.print(f"[red]{escape(step.place)}[/]: {escape(difference)}")


def _table(*columns: str) -> Table:
    first, *others = columns
    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in others:
        table.add_column(column, overflow="fold", min_width=len(column))
    return table


def _listed(places: Sequence[str]) -> str:
    """Two places by name, more by number."""
    return escape(", ".join(places)) if len(places) <= 2 else f"{len(places)} outputs"
