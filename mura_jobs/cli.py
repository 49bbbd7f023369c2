"""The command line: `mura-jobs run` for a whole run, and one subcommand a stage, made from stages.py."""

import argparse
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
import json
from pathlib import Path
import sys
from typing import Any

from pydantic import BaseModel

from mura_jobs import __version__
from mura_jobs.bucket import open_bucket
from mura_jobs.cluster.commands import COMMANDS, Command
from mura_jobs.cluster.record import record
from mura_jobs.errors import ConfigError, MuraError
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.config import merged
from mura_jobs.job.flags import Parser, add_flags, given
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.stage import JobOptions, Stage, execute
from mura_jobs.job.values import parse_yaml
from mura_jobs.local import RunOptions, run
from mura_jobs.report.config import EvaluateConfig
from mura_jobs.stages import EVALUATE, REPORT, STAGES, RunConfig, configure
from mura_jobs.synthetic.tools import TOOLS, Tool

PRESETS = files("mura_jobs") / "presets"
STAGES_BY_NAME = {stage.name: stage for stage in STAGES}
TOOLS_BY_NAME = {tool.name: tool for tool in TOOLS}
COMMANDS_BY_NAME = {command.name: command for command in COMMANDS}

EXAMPLES = {
    EVALUATE.name: """
A zip in MURA's layout with the folder train, valid or both lies in the bucket; all seeds of an arm score it:

  mura-jobs evaluate --bucket s3://radiographs --run-id shoulders --name unseen \\
    --models train-cnn/real --source raw/unseen.zip
"""
}
"""Shown below a command's help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (see `mura_jobs.errors`)."""
    shutdown = Shutdown()
    try:
        options = _parser().parse_args(arguments)
        shutdown.install()
        match options.command:
            case "run":
                _run(options, shutdown)
            case "schema":
                print(json.dumps(RunConfig.model_json_schema(), indent=1, ensure_ascii=False))  # noqa: T201 - its output
            case EVALUATE.name:
                _evaluate(options, shutdown)
            case name if name in STAGES_BY_NAME:
                _run_stage(STAGES_BY_NAME[name], options, shutdown)
            case name if name in TOOLS_BY_NAME:
                _run_tool(TOOLS_BY_NAME[name], options, shutdown)
            case name:
                _run_command(COMMANDS_BY_NAME[name], options, shutdown)
    except MuraError as error:
        print(f"mura-jobs: {error}", file=sys.stderr)  # noqa: T201 - the message for the user
        return error.exit_code
    except KeyboardInterrupt:
        print("mura-jobs: interrupted; run the same command again to continue", file=sys.stderr)  # noqa: T201 - the same
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="mura-jobs", description="Do synthetic bone X-rays improve a classifier?")
    parser.add_argument("--version", action="version", version=f"mura-jobs {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_command(commands, "run", "run all stages on this machine, in order", RunOptions, RunConfig)
    for stage in STAGES:
        _add_command(commands, stage.name, stage.about, JobOptions, stage.config_class)
    _add_command(commands, EVALUATE.name, EVALUATE.about, JobOptions, EVALUATE.config_class, with_file=False)
    for tool in TOOLS:
        _add_command(commands, tool.name, tool.about, JobOptions, tool.config_class, with_file=False)
    for command in COMMANDS:
        _add_command(commands, command.name, command.about, JobOptions, command.config_class)
    commands.add_parser("schema", help="print the JSON schema of a run's configuration file")
    return parser


def _add_command(
    commands: Any,  # noqa: ANN401 - argparse's own
    name: str,
    about: str,
    where: type[JobOptions],
    config: type[BaseModel],
    *,
    with_file: bool = True,
) -> None:
    files = " Flags override files, files override the defaults." if with_file else ""
    command = commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.{files}",
        epilog=EXAMPLES.get(name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if with_file:
        command.add_argument_group("configuration file").add_argument(
            "--config",
            metavar="FILE",
            action="append",
            default=[],
            help="YAML file with a run's configuration, or preset:NAME for one that is shipped "
            f"({', '.join(_preset_names())}); given twice, the later overrides the earlier",
        )
    add_flags(command, where, "where and how")
    add_flags(command, config, f"configuration of {name}")


def _run(options: argparse.Namespace, shutdown: Shutdown) -> None:
    run_options = RunOptions.parse(given(options, RunOptions))
    config = RunConfig.parse(merged(_file_values(options), given(options, RunConfig)))
    bucket = open_bucket(run_options.bucket, run_options.endpoint)
    bucket.check()
    record(bucket, run_options.run_id, config, replace=run_options.replace)
    run(config, run_options, shutdown)
    prefix = REPORT.prefix(config.report, run_options.run_id)
    print(f"report: {run_options.bucket.rstrip('/')}/{prefix}/index.html")  # noqa: T201 - the command's result


def _run_stage(stage: Stage, options: argparse.Namespace, shutdown: Shutdown) -> None:
    job_options = JobOptions.parse(given(options, JobOptions))
    # The whole file is checked, so that a run's stages agree on what is a valid file.
    run_config = RunConfig.parse(_file_values(options))
    execute(stage, configure(stage, run_config, **given(options, stage.config_class)), job_options, shutdown)


def _run_command(command: Command, options: argparse.Namespace, shutdown: Shutdown) -> None:
    job_options = JobOptions.parse(given(options, JobOptions))
    config = command.config_class.parse(given(options, command.config_class), command.name)
    command.run(config, RunConfig.parse(_file_values(options)), job_options, shutdown)


def _run_tool(tool: Tool, options: argparse.Namespace, shutdown: Shutdown) -> None:
    job_options = JobOptions.parse(given(options, JobOptions))
    if job_options.count > 1:
        raise ConfigError(f"{tool.name} is not divided into shares; leave out --count {job_options.count}")
    config = tool.config_class.parse(given(options, tool.config_class), tool.name)
    print(f"made: {tool.run(config, job_options, shutdown)}/")  # noqa: T201 - the command's result


def _evaluate(options: argparse.Namespace, shutdown: Shutdown) -> None:
    from mura_jobs.report.evaluate import resolve
    from mura_jobs.report.terminal import show_evaluation

    job_options = JobOptions.parse(given(options, JobOptions))
    if job_options.count > 1:
        raise ConfigError(f"evaluate is not divided into shares; leave out --count {job_options.count}")
    bucket = open_bucket(job_options.bucket, job_options.endpoint)
    config = EvaluateConfig.parse(given(options, EvaluateConfig), EVALUATE.name)
    config = resolve(bucket, job_options.run_id, config)
    execute(EVALUATE, config, job_options, shutdown)
    prefix = EVALUATE.prefix(config, job_options.run_id)
    show_evaluation(json.loads(Artifact.open(bucket, prefix).read("metrics.json")))
    print(f"predictions and metrics: {bucket.url.rstrip('/')}/{prefix}/")  # noqa: T201 - the command's result


def _file_values(options: argparse.Namespace) -> dict[str, Any]:
    """What all configuration files say together.

    Raises:
        ConfigError: one of them can't be found or read.
    """
    values: dict[str, Any] = {}
    for name in options.config:
        try:
            text = _config_file(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"configuration file {name} can't be read: {error}") from None
        found = parse_yaml(text, f"configuration file {name}")
        if not isinstance(found, dict | None):
            raise ConfigError(f"configuration file {name} holds a {type(found).__name__}, not a mapping")
        values = merged(values, found or {})
    return values


def _config_file(name: str) -> Traversable:
    prefix, _, preset = name.partition(":")
    if prefix != "preset":
        return Path(name)
    if preset not in _preset_names():
        raise ConfigError(f"preset {preset!r} is unknown; known: {', '.join(_preset_names())}")
    return PRESETS / f"{preset}.yaml"


def _preset_names() -> list[str]:
    return sorted(Path(entry.name).stem for entry in PRESETS.iterdir() if entry.name.endswith(".yaml"))
