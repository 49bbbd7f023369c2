"""The pipeline as data: the one place that knows the stages and their order."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from mura_jobs.classifier.arms import lacks_synthetic, uses_synthetic
from mura_jobs.classifier.config import TrainCnnConfig, TrainCnnSettings
from mura_jobs.gan.config import GeneratorChoice, TrainGanConfig, TrainGanSettings
from mura_jobs.job.config import LABELS, Config, Label, merged
from mura_jobs.job.job import Job
from mura_jobs.job.stage import Stage
from mura_jobs.radiographs.config import PhantomConfig, PreprocessConfig
from mura_jobs.report.config import EvaluateConfig, ReportConfig, ReportSettings
from mura_jobs.synthetic.config import (
    ImportGridConfig,
    ImportGridSettings,
    SynthesizeConfig,
    SynthesizeSettings,
)


class RunConfig(GeneratorChoice):
    """A whole run: one section a stage, named as the stage, and what the run repeats stages over."""

    labels: Annotated[tuple[Label, ...], Field(min_length=1)] = LABELS
    """Labels that get a generator of their own."""
    arms: Annotated[tuple[str, ...], Field(min_length=1)] = ("real", "real-duplicated", "real+synthetic")
    """Training sets to compare; the first is the one that the others are compared with: `real`,
    `real-duplicated`, `real+synthetic` or `synthetic-only`, with an amount (-x0.5 per real image, -n960
    images) and a share of the real patients (-f0.25) where wanted: `real+synthetic-x0.5-f0.25`."""
    seeds: Annotated[int, Field(ge=1, le=100)] = 3
    """Seeds each arm is trained with, a count: 0 … seeds − 1."""
    phantom: PhantomConfig | None = None
    """Generate the raw radiographs first; without this section they lie in the bucket."""
    preprocess: PreprocessConfig = PreprocessConfig()
    """From raw radiographs to a packed data set."""
    train_gan: TrainGanSettings = Field(default=TrainGanSettings(), alias="train-gan")
    """StyleGAN2-ADA on one label."""
    synthesize: SynthesizeSettings = SynthesizeSettings()
    """Labelled radiographs from a generator."""
    import_grid: ImportGridSettings | None = Field(default=None, alias="import-grid")
    """Cut them out of sample grids of old generators instead; with this section none are trained."""
    train_cnn: TrainCnnSettings = Field(default=TrainCnnSettings(), alias="train-cnn")
    """The classifier on one arm."""
    report: ReportSettings = ReportSettings()
    """The evidence, weighed."""

    @model_validator(mode="after")
    def _arms_can_be_made(self) -> "RunConfig":
        if self.conditional and set(self.labels) != set(LABELS):
            raise ValueError(f"conditional: one generator learns both labels, but labels are {self.labels}")
        if self.conditional and self.import_grid is not None:
            raise ValueError("conditional: with import-grid no generator is trained; leave one of them out")
        for arm in self.arms:
            if uses_synthetic(arm) and set(self.labels) != set(LABELS):
                raise ValueError(
                    f"arm {arm} needs synthetic radiographs of both labels; labels: {self.labels}"
                )
            if self.import_grid is None and lacks_synthetic(arm, self.synthesize.amount):
                raise ValueError(
                    f"arm {arm} takes more synthetic radiographs than synthesize.amount: "
                    f"{self.synthesize.amount} makes; raise the amount, or ask for less in the arm"
                )
        return self


class Instance(NamedTuple):
    """A stage with the configuration of one of its instances, and the fields that say which one it is."""

    stage: Stage
    config: Config
    which: Mapping[str, object]

    @property
    def place(self) -> str:
        """Where in the run its output lies, and its name: "train-gan/positive"."""
        return self.stage.place(self.config)


def _run_of(module: str) -> Callable[[Any, Job], None]:
    """A module's `run`, imported when it is called: importing torch takes seconds."""

    def run(config: Config, job: Job) -> None:
        import_module(module).run(config, job)

    return run


def _cnn_place(arm: str, seed: int) -> str:
    return f"train-cnn/{arm}/seed-{seed}"


def _cnn_needs(config: TrainCnnConfig) -> tuple[str, ...]:
    synthetic = tuple(f"synthesize/{label}" for label in LABELS) if uses_synthetic(config.arm) else ()
    return ("preprocess", *synthetic)


def _report_needs(config: ReportConfig) -> tuple[str, ...]:
    generators = dict.fromkeys(config.generator_places)
    synthetic = [f"synthesize/{label}" for label in config.labels]
    classifiers = [_cnn_place(arm, seed) for arm in config.arms for seed in range(config.seeds)]
    return ("preprocess", *generators, *synthetic, *classifiers)


PHANTOM = Stage(
    name="phantom",
    about="generate shoulder radiographs in MURA's layout, findings and flaws known",
    config_class=PhantomConfig,
    run=_run_of("mura_jobs.radiographs.phantom.phantom"),
    place=lambda _: "raw/phantom",
    needs=lambda _: (),
    raw=True,
    plain_names=True,
)
PREPROCESS = Stage(
    name="preprocess",
    about="clean raw radiographs and pack them into a data set",
    config_class=PreprocessConfig,
    run=_run_of("mura_jobs.radiographs.preprocess"),
    place=lambda _: "preprocess",
    needs=lambda _: (),
    sources=lambda config, bucket: import_module("mura_jobs.radiographs.source").source_digests(
        config, bucket
    ),
)
TRAIN_GAN = Stage(
    name="train-gan",
    about="train StyleGAN2-ADA on the radiographs of one label",
    config_class=TrainGanConfig,
    run=_run_of("mura_jobs.gan.train"),
    place=lambda config: f"train-gan/{config.label}",
    needs=lambda _: ("preprocess",),
    trains=True,
)
SYNTHESIZE = Stage(
    name="synthesize",
    about="draw labelled radiographs from a generator and gate them",
    config_class=SynthesizeConfig,
    run=_run_of("mura_jobs.synthetic.synthesize"),
    place=lambda config: f"synthesize/{config.label}",
    needs=lambda config: ("preprocess", config.generator_place(config.label)),
    trains=True,
)
IMPORT_GRID = Stage(
    name="import-grid",
    about="cut a picture of many generated images into a synthetic data set",
    config_class=ImportGridConfig,
    run=_run_of("mura_jobs.synthetic.import_grid"),
    place=lambda config: f"synthesize/{config.label}",
    needs=lambda _: ("preprocess",),
    trains=True,
)
TRAIN_CNN = Stage(
    name="train-cnn",
    about="train a classifier on one arm with one seed",
    config_class=TrainCnnConfig,
    run=_run_of("mura_jobs.classifier.train"),
    place=lambda config: _cnn_place(config.arm, config.seed),
    needs=_cnn_needs,
    trains=True,
)
REPORT = Stage(
    name="report",
    about="weigh the evidence and write the page",
    config_class=ReportConfig,
    run=_run_of("mura_jobs.report.report"),
    place=lambda _: "report",
    needs=_report_needs,
    plain_names=True,
)

EVALUATE = Stage(
    name="evaluate",
    about="score trained classifiers of a run on other radiographs",
    config_class=EvaluateConfig,
    run=_run_of("mura_jobs.report.evaluate"),
    place=lambda config: f"evaluate/{config.name}",
    needs=lambda config: ("preprocess", *config.models),
    trains=True,
)
"""No part of a run's plan: it is asked for when there is something to evaluate."""

STAGES = (PHANTOM, PREPROCESS, TRAIN_GAN, SYNTHESIZE, IMPORT_GRID, TRAIN_CNN, REPORT)


def plan(run: RunConfig) -> list[Instance]:
    """Every stage instance of a run, in an order in which each one's needs come first."""
    generators = () if run.import_grid else ("both",) if run.conditional else run.labels
    synthetic = IMPORT_GRID if run.import_grid else SYNTHESIZE
    return [
        *([] if run.phantom is None else [_instance(PHANTOM, run)]),
        _instance(PREPROCESS, run),
        *(_instance(TRAIN_GAN, run, label=label) for label in generators),
        *(_instance(synthetic, run, label=label) for label in run.labels),
        *(_instance(TRAIN_CNN, run, arm=arm, seed=seed) for arm in run.arms for seed in range(run.seeds)),
        _instance(REPORT, run),
    ]


def _instance(stage: Stage, run: RunConfig, **which: object) -> Instance:
    return Instance(stage, configure(stage, run, **which), which)


def configure(stage: Stage, run: RunConfig, **which: object) -> Config:
    """The configuration of one instance of a stage.

    It is the stage's section of the run, with the run's own values where the stage asks for them by the same
    name (the report's `arms`), and with `which`, that says which instance it is or overrides a section.

    Raises:
        ConfigError: something is missing, unknown, or has an impossible value.
    """
    plain = run.plain() | {"imported": run.import_grid is not None}
    shared = {name: plain[name] for name in stage.config_class.model_fields if name in plain}
    return stage.config_class.parse(merged(shared | (plain[stage.name] or {}), which), stage.name)
