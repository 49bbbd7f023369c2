"""What the report covers and how it weighs the evidence."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mura_jobs.job.config import Config, Label

Metric = Literal["auroc", "accuracy", "kappa"]
"""A score that can carry the verdict; of each, more is better."""

Unit = Literal["study", "image"]
"""What is scored: a study by the mean of its images' probabilities, or every image by itself."""


class ReportSettings(Config):
    """How the evidence is weighed and shown."""

    metric: Metric = "auroc"
    """The score that carries the verdict. All the others are shown beside it, but decide nothing."""

    unit: Unit = "study"
    """What the verdict's score is taken over: studies or single images."""

    level: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    """Confidence level of every interval, a fraction; 1 - level is the error rate that Holm's procedure holds
    over all arms together."""

    power: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.8
    """Probability, a fraction, with which the smallest detectable effect would have been found."""

    effect_of_interest: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.02
    """The smallest change of the verdict's score that would matter in practice, in the score's own unit
    (0.02 is two points). An interval within plus and minus this is reported as "no relevant difference"."""

    resamples: Annotated[int, Field(ge=200, le=100_000)] = 2000
    """Bootstrap resamples of the test patients, a count."""

    calibration_bins: Annotated[int, Field(ge=2, le=50)] = 10
    """Equally populated bins of predicted probability in the calibration curve and its error, a count."""

    grid_images: Annotated[int, Field(ge=4, le=400)] = 24
    """Radiographs shown of each label, real and as many synthetic ones, a count."""

    neighbours: Annotated[int, Field(ge=1, le=64)] = 6
    """Synthetic radiographs of each label shown beside a training radiograph, those that come nearest to one,
    a count."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the bootstrap and of the choice of the radiographs shown."""


class ReportConfig(ReportSettings):
    """The report of one run."""

    labels: Annotated[tuple[Label, ...], Field(min_length=1)]
    """The labels that have a generator and synthetic radiographs."""

    arms: Annotated[tuple[str, ...], Field(min_length=1)]
    """The arms that were trained. The first is the baseline; an arm with a share of the real patients is
    compared with `real` of the same share where that was trained."""

    seeds: Annotated[int, Field(ge=1)]
    """Seeds that every arm was trained with (seed-0, seed-1, …), a count."""

    @model_validator(mode="after")
    def _nothing_twice(self) -> "ReportConfig":
        for name, values in (("labels", self.labels), ("arms", self.arms)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: {', '.join(values)} names one of them twice; name each once")
        return self
