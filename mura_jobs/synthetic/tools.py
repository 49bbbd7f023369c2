"""The commands that look into generators and write data sets for others, as data, for the command line."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from mura_jobs.bucket import open_bucket
from mura_jobs.job.config import Config
from mura_jobs.job.job import Job
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.stage import JobOptions, Stage, execute
from mura_jobs.synthetic.export.config import ExportConfig
from mura_jobs.synthetic.latent.config import (
    InterpolateConfig,
    ProjectConfig,
    StyleMixConfig,
    TruncationConfig,
)


class Tool(NamedTuple):
    """One subcommand."""

    name: str
    about: str
    config_class: type[Config]
    run: Callable[[Any, JobOptions, Shutdown], str]
    """Its configuration, where, and whether to stop; returns the URL of what it made."""


def _export(config: ExportConfig, options: JobOptions, shutdown: Shutdown) -> str:
    from mura_jobs.synthetic.export.export import export

    return export(config, options, shutdown)


def _of(stage: Stage) -> Tool:
    """A stage beside the pipeline: its output is published as any stage's is."""

    def run(config: Config, options: JobOptions, shutdown: Shutdown) -> str:
        execute(stage, config, options, shutdown)
        bucket = open_bucket(options.bucket, options.endpoint)
        return f"{bucket.url.rstrip('/')}/{stage.prefix(config, options.run_id)}"

    return Tool(stage.name, stage.about, stage.config_class, run)


def _latent(name: str, about: str, config_class: type[Config], module: str, *more_needs: str) -> Stage:
    function = "run" if module == "projection" else name.replace("-", "_")

    def run(config: Config, job: Job) -> None:
        getattr(import_module(f"mura_jobs.synthetic.latent.{module}"), function)(config, job)

    return Stage(
        name=name,
        about=about,
        config_class=config_class,
        run=run,
        place=lambda config: f"latent/{config.label}/{name}/{config.name}",
        needs=lambda config: (config.generator_place(config.label), *more_needs),
        trains=True,
        plain_names=True,
    )


TOOLS = (
    Tool("export", "write data sets of a run as PNG files for other tools", ExportConfig, _export),
    _of(_latent("style-mix", "mix coarse and fine styles of images in a grid", StyleMixConfig, "styles")),
    _of(_latent("interpolate", "walk from image to image, as strip and video", InterpolateConfig, "styles")),
    _of(_latent("truncation", "show the same images at several psi", TruncationConfig, "styles")),
    _of(_latent("project", "find the w of real radiographs", ProjectConfig, "projection", "preprocess")),
)
