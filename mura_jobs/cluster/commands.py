"""The cluster's commands as data, for the command line."""

from collections.abc import Callable
import json
import sys
from typing import Any, NamedTuple

from mura_jobs.bucket import open_bucket
from mura_jobs.cluster.config import DriverConfig, PlanConfig, PreflightConfig, StatusConfig
from mura_jobs.job.config import Config
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.stage import JobOptions
from mura_jobs.stages import RunConfig


class Command(NamedTuple):
    """One subcommand that is no stage."""

    name: str
    about: str
    config_class: type[Config]
    run: Callable[[Any, RunConfig, JobOptions, Shutdown], None]
    """Its own configuration, the run's from `--config`, where, and whether to stop."""


def _status(config: StatusConfig, _run: RunConfig, options: JobOptions, _shutdown: Shutdown) -> None:
    from mura_jobs.cluster.record import read
    from mura_jobs.cluster.status import look, utc_now
    from mura_jobs.cluster.tables import show_status

    bucket = open_bucket(options.bucket, options.endpoint)
    run = read(bucket, options.run_id)
    status = look(bucket, options.run_id, run, config.silent_seconds, utc_now())
    if config.output == "json":
        _print(status.plain())
    else:
        show_status(status)


def _plan(config: PlanConfig, run: RunConfig, options: JobOptions, _shutdown: Shutdown) -> None:
    from mura_jobs.cluster.plan import look_ahead
    from mura_jobs.cluster.tables import show_plan

    steps = look_ahead(open_bucket(options.bucket, options.endpoint), options.run_id, run)
    if config.output == "json":
        _print([step._asdict() for step in steps])
    else:
        show_plan(steps)


def _preflight(config: PreflightConfig, run: RunConfig, options: JobOptions, _shutdown: Shutdown) -> None:
    from mura_jobs.cluster import preflight

    preflight.run(config, run, options)


def _drive(config: DriverConfig, run: RunConfig, options: JobOptions, shutdown: Shutdown) -> None:
    from mura_jobs.cluster import driver

    driver.run(config, run, options, shutdown)


def _print(value: object) -> None:
    json.dump(value, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


COMMANDS = (
    Command("status", "say where a run stands, from the bucket alone", StatusConfig, _status),
    Command("plan", "say what a run would do and what is published already", PlanConfig, _plan),
    Command("preflight", "check that everything a run needs is in place", PreflightConfig, _preflight),
    Command("driver", "open a run's Jobs on a cluster when what they need is there", DriverConfig, _drive),
)
