"""What the report covers and how it weighs the evidence; what `evaluate` scores."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mura_jobs.gan.config import GeneratorChoice
from mura_jobs.job.config import Config, Label, Split

Metric = Literal["auroc", "accuracy", "kappa"]
"""A score that can carry the verdict; of each, more is better."""

Unit = Literal["study", "image"]
"""What is scored: a study by the mean of its images' probabilities, or every image by itself."""


class ScoreSettings(Config):
    """How scores of a test set and their uncertainty are computed."""

    level: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    """Confidence level of every interval, a fraction."""

    resamples: Annotated[int, Field(ge=200, le=100_000)] = 2000
    """Bootstrap resamples of the test patients, a count."""

    calibration_bins: Annotated[int, Field(ge=2, le=50)] = 10
    """Equally populated bins of predicted probability in the calibration curve and its error, a count."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the bootstrap, and of the choice of what a report shows."""


class ReportSettings(ScoreSettings):
    """How the evidence is weighed and shown.

    1 - level is the error rate that Holm's procedure holds over all arms together.
    """

    metric: Metric = "auroc"
    """The score that carries the verdict. All the others are shown beside it, but decide nothing."""

    unit: Unit = "study"
    """What the verdict's score is taken over: studies or single images."""

    power: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.8
    """Probability, a fraction, with which the smallest detectable effect would have been found."""

    effect_of_interest: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.02
    """The smallest change of the verdict's score that would matter in practice, in the score's own unit
    (0.02 is two points). An interval within plus and minus this is reported as "no relevant difference"."""

    grid_images: Annotated[int, Field(ge=4, le=400)] = 24
    """Radiographs shown of each label, real and as many synthetic ones, a count."""

    neighbours: Annotated[int, Field(ge=1, le=64)] = 6
    """Synthetic radiographs of each label shown beside a training radiograph, those that come nearest to one,
    a count."""


class ReportConfig(GeneratorChoice, ReportSettings):
    """The report of one run."""

    labels: Annotated[tuple[Label, ...], Field(min_length=1)]
    """The labels that have synthetic radiographs."""

    imported: bool = False
    """Whether these were cut out of sample grids (`import-grid`), so that the run has no generators."""

    arms: Annotated[tuple[str, ...], Field(min_length=1)]
    """The arms that were trained. The first is the baseline; an arm with a share of the real patients is
    compared with `real` of the same share where that was trained."""

    seeds: Annotated[int, Field(ge=1)]
    """Seeds that every arm was trained with (seed-0, seed-1, …), a count."""

    @property
    def generator_places(self) -> list[str]:
        """Where in the run its generators lie, for each label that has one."""
        return [] if self.imported else [self.generator_place(label) for label in self.labels]

    @model_validator(mode="after")
    def _nothing_twice(self) -> "ReportConfig":
        for name, values in (("labels", self.labels), ("arms", self.arms)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: {', '.join(values)} names one of them twice; name each once")
        return self


class EvaluateConfig(ScoreSettings):
    """Trained classifiers of a run scored on other radiographs.

    The radiographs are either raw ones in the bucket (`source`), which are then cleaned and packed exactly as
    those that the classifiers were trained on, or a data set that is packed already (`data`).
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
    """Name of this evaluation: its output lies under runs/RUN_ID/evaluate/NAME. Lower-case letters, digits,
    "-" and "."."""

    models: Annotated[tuple[str, ...], Field(min_length=1)] = ("train-cnn",)
    """Classifiers of the run: `train-cnn/ARM/seed-0` is one, `train-cnn/ARM` are all seeds of an arm,
    `train-cnn` is every one that is published."""

    source: Annotated[str, Field(min_length=1)] | None = None
    """Raw radiographs in the bucket: the prefix of a tree in MURA's layout (`train`, `valid` or both), the
    key of its `.zip`, or the key of a `.csv` with the columns path, label, patient, study, split. They are
    cleaned and packed as the run's own were."""

    data: Annotated[str, Field(min_length=1)] | None = None
    """Prefix of a packed data set in the bucket, for instance `runs/other/preprocess`."""

    split: Split | None = None
    """The part to score: `test` (MURA's folder `valid`), `train` (MURA's `train`) or `select`. Not given, it
    is `test` where there is one, else everything."""

    batch: Annotated[int, Field(ge=1, le=65536)] = 256
    """Images scored at once (1 to 65536)."""

    @model_validator(mode="after")
    def _one_origin(self) -> "EvaluateConfig":
        if (self.source is None) == (self.data is None):
            raise ValueError("give source (raw radiographs) or data (a packed data set), and not both")
        return self
