"""Configuration of the stages `synthesize` and `import-grid`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mura_jobs.features.config import FeaturesConfig
from mura_jobs.gan.config import GeneratorChoice
from mura_jobs.job.config import Config, Label
from mura_jobs.synthetic.amount import Amount


def _amount(text: str) -> str:
    Amount.parse(text)
    return text


class GatesConfig(Config):
    """What a synthetic radiograph must pass to be kept. Every threshold is fixed on the split `select`."""

    memorisation: bool = True
    """Reject images that lie closer to their nearest training image, mirrored or not, than nearly all images
    of `select` lie to theirs: copies of what the generator was trained on. In pixels, distances are root mean
    squared differences of reduced images with mean 0 and deviation 1, so that exposure does not count; in
    feature space, where there is one, they are Euclidean."""

    duplicates: bool = True
    """Reject images that lie that close, in pixels, to an earlier synthetic image."""

    quantile: Annotated[float, Field(ge=0, lt=0.5)] = 0.01
    """Where these thresholds lie among the distances of `select` to the training images, a quantile (0 to
    below 0.5; 0 is their minimum): about this share of genuinely new images is rejected without need."""

    side: Annotated[int, Field(ge=8, le=256)] = 32
    """Side in pixels to which images are reduced before their pixels are compared (8 to 256). Lower is less
    sensitive to noise and small shifts."""

    features: FeaturesConfig = FeaturesConfig()
    """Where images are compared but in pixels. `space: none` does without: no copies are looked for in
    features, and neither label_agreement nor realism is asked. A network's pass an image takes about 20 ms on
    a CPU core with efficientnet-lite0, and synthetic images are passed twice, once mirrored."""

    label_agreement: bool = True
    """Reject images that a logistic regression on features, trained on the training images of both labels,
    gives less of a probability of their label than nearly all images of that label in `select`. It abstains
    where its AUROC on `select` is not above 0.5 (one-sided Mann-Whitney, p below 0.05)."""

    label_quantile: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    """Where that threshold lies among the probabilities of `select`, a quantile (0 to below 0.5)."""

    realism: bool = True
    """Reject images that lie further from where training images are dense than nearly all of `select`:
    by the realism score of Kynkäänniemi et al. 2019 in feature space, 1 and above within, 0 far away."""

    realism_quantile: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    """Where that threshold lies among the realism scores of `select`, a quantile (0 to below 0.5)."""

    neighbours: Annotated[int, Field(ge=1, le=100)] = 3
    """Realism counts as dense what is within a training image's distance to this neighbour (1 to 100)."""

    rejected_share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the candidates that the gates may reject (0 to below 1). That many more are drawn; the stage
    stops where fewer than the wanted number pass."""

    @property
    def any_on(self) -> bool:
        """Whether any gate can reject an image."""
        on_features = self.features.space != "none" and (self.label_agreement or self.realism)
        return self.memorisation or self.duplicates or on_features


class SynthesizeSettings(Config):
    """From a generator to a packed data set of synthetic radiographs."""

    amount: Annotated[str, AfterValidator(_amount)] = "x1"
    """Images to make for each label: `x` and a ratio to the label's real training images (`x1` is as many,
    which doubles the training set), or `n` and a number of images (`n480`)."""

    psi: Annotated[float, Field(ge=0, le=2)] = 1.0
    """Truncation: each w is moved towards the mean w, w' = mean + psi (w - mean). 1 draws what the generator
    learned, less gives more typical and less varied images (0 to 2)."""

    noise: Literal["random", "const", "none"] = "random"
    """The generator's per-pixel noise: drawn anew for each image, the same for all images, or off."""

    sharpen: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Sharpness, as Pillow's enhancer counts it (0 to 10): 1 leaves images as they are, 2 is the
    notebook's."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of all images; image i of a label draws from a stream of its own."""

    gates: GatesConfig = GatesConfig()
    """What an image must pass to be kept."""

    batch: Annotated[int, Field(ge=1, le=4096)] = 32
    """Images generated at once (1 to 4096). Image i is always generated in the same company, so that sharing
    the work out never changes it; another size may change the last bit."""

    shard_images: Annotated[int, Field(ge=1)] = 4096
    """Images in one `.npy` file of the output."""

    grid_images: Annotated[int, Field(ge=1, le=480)] = 64
    """Images shown in `grids/fakes.png` (1 to 480)."""


class SynthesizeConfig(GeneratorChoice, SynthesizeSettings):
    """Synthetic radiographs of one label."""

    label: Label
    """The label to make."""


class ImportGridSettings(Config):
    """From a picture of many generated images to a packed data set, in the place of `synthesize`."""

    source: Annotated[str, Field(min_length=1)]
    """The picture, PNG or JPEG: a local path if it starts with `/`, else a key in the bucket. `{label}` in it
    stands for the label, where each has a picture of its own."""

    columns: Annotated[int, Field(ge=1, le=1000)] = 30
    """Images side by side (1 to 1000). The published StyleGAN2-ADA makes 30 × 16 of 256² pixels."""

    rows: Annotated[int, Field(ge=1, le=1000)] = 16
    """Images below each other (1 to 1000)."""

    images: Annotated[int, Field(ge=1)] | None = None
    """Images in the grid, in reading order, where its last tiles are empty; by default all tiles."""

    sharpen: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Sharpness after reducing to the data set's resolution, as Pillow's enhancer counts it (0 to 10): 1
    leaves images as they are, 2 is the notebook's."""

    gates: GatesConfig = GatesConfig()
    """What an image must pass to be kept."""

    shard_images: Annotated[int, Field(ge=1)] = 4096
    """Images in one `.npy` file of the output."""

    grid_images: Annotated[int, Field(ge=1, le=480)] = 64
    """Images shown in `grids/fakes.png` (1 to 480)."""

    def source_of(self, label: Label) -> str:
        """The picture of a label."""
        return self.source.replace("{label}", label)


class ImportGridConfig(ImportGridSettings):
    """One picture."""

    label: Label
    """The label that all its images are meant to show."""
