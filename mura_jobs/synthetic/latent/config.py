"""Configuration of the commands that look into a generator."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mura_jobs.features.config import FeaturesConfig
from mura_jobs.gan.config import GeneratorChoice
from mura_jobs.job.config import Label

Number = Annotated[int, Field(ge=0)]
Psi = Annotated[float, Field(ge=0, le=2)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


class LatentConfig(GeneratorChoice):
    """What all of them have."""

    label: Label
    """Whose generator."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")] = "first"
    """Name of the output, so that several can lie side by side."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seed that images are drawn with, as in `synthesize`: with the same seed and number, z is the same."""

    tile: Annotated[int, Field(ge=1, le=4096)] = 128
    """Side in pixels up to which images are enlarged, by a whole factor, to be seen (1 to 4096)."""


class StyleMixConfig(LatentConfig):
    """A grid of images, each with the coarse styles of its row and the chosen styles of its column."""

    rows: Annotated[tuple[Number, ...], Field(min_length=1)] = (0, 1, 2, 3)
    """Numbers of the images that give the rows."""

    columns: Annotated[tuple[Number, ...], Field(min_length=1)] = (4, 5, 6, 7, 8, 9)
    """Numbers of the images that give the columns."""

    layers: Annotated[tuple[Number, ...], Field(min_length=1)] | None = None
    """Layers that take the column's style, from 0 (4×4); by default the finer half."""

    psi: Psi = 1.0
    """Truncation of all w (0 to 2)."""


class InterpolateConfig(LatentConfig):
    """A walk through w from image to image, as a strip and as a moving picture."""

    numbers: Annotated[tuple[Number, ...], Field(min_length=2)] = (0, 1, 2, 3)
    """Numbers of the images on the way."""

    steps: Annotated[int, Field(ge=1, le=1000)] = 24
    """Images from one to the next (1 to 1000)."""

    loop: bool = True
    """Return from the last to the first."""

    strip_steps: Annotated[int, Field(ge=1, le=100)] = 6
    """Images from one to the next in the strip (1 to 100)."""

    form: Literal["webp", "png", "gif"] = "webp"
    """The moving picture's format. All are lossless for grey; png is an animated one."""

    frames_per_second: Annotated[int, Field(ge=1, le=50)] = 20
    """Speed of the moving picture in images a second (1 to 50)."""

    psi: Psi = 1.0
    """Truncation of all w (0 to 2)."""


class TruncationConfig(LatentConfig):
    """The same images at several strengths of truncation, one row an image."""

    numbers: Annotated[tuple[Number, ...], Field(min_length=1)] = (0, 1, 2, 3)
    """Numbers of the images."""

    psis: Annotated[tuple[Psi, ...], Field(min_length=1)] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
    """Truncation of each column: 0 is the mean image, 1 what the generator learned (0 to 2)."""


class ProjectConfig(LatentConfig):
    """The w whose image is most like a real radiograph (StyleGAN2, appendix D)."""

    keys: Annotated[tuple[str, ...], Field(min_length=1, max_length=64)]
    """Keys of the radiographs in the data set's index."""

    steps: Annotated[int, Field(ge=4, le=100_000)] = 1000
    """Steps of Adam (4 to 100000)."""

    learning_rate: Positive = 0.1
    """Adam's largest learning rate: it rises over the first 5% of the steps and falls over the last 25%."""

    w_noise: Annotated[float, Field(ge=0)] = 0.05
    """Noise on w at the start, as a share of the deviation of w; it is gone after 75% of the steps."""

    noise_weight: Annotated[float, Field(ge=0)] = 100_000.0
    """Weight of the penalty that keeps the noise maps noise, so that w alone carries the picture."""

    w_samples: Annotated[int, Field(ge=100)] = 10_000
    """z drawn to measure the mean and deviation of w."""

    distance: Literal["pixels", "features"] = "pixels"
    """What is made small: squared differences of pixels at several scales, or of features and pixels."""

    features: FeaturesConfig = FeaturesConfig()
    """The feature space for `distance: features`; `inception` has no gradient and can't be used."""

    @model_validator(mode="after")
    def _has_gradient(self) -> "ProjectConfig":
        if self.distance == "features" and self.features.space in ("none", "inception"):
            raise ValueError(
                f"features.space: {self.features.space} gives no gradient; use efficientnet-lite0 or "
                "classifier, or distance pixels"
            )
        return self
