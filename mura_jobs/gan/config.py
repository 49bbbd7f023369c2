"""Configuration of the stage `train-gan`, its presets, and what they resolve to."""

from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from mura_jobs.errors import ConfigError
from mura_jobs.features.config import FeaturesConfig
from mura_jobs.job.config import LABELS, Config, Label

T = TypeVar("T")

Preset = Literal["auto", "paper256", "radiograph"]
Augmentation = Literal["none", "b", "bg", "bgc", "bgcf", "bgcfn", "bgcfnc", "radiograph"]
Precision = Literal["float32", "bfloat16"]

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Probability = Annotated[float, Field(ge=0, le=1)]


class GeneratorChoice(Config):
    """Which generators a run has."""

    conditional: bool = False
    """One generator for both labels, which is told the label, in place of one for each label."""

    def generator_place(self, label: Label) -> str:
        """Where in the run the generator of a label lies: "train-gan/positive", "train-gan/both"."""
        return "train-gan/both" if self.conditional else f"train-gan/{label}"


class InitialConfig(Config):
    """Weights that a training starts from instead of random ones."""

    weights: Annotated[str, Field(min_length=1)]
    """The file: a published StyleGAN2-ADA `.pkl`, of which nothing is executed, or our own `.safetensors`
    (generator or checkpoint); a local path if it starts with `/`, else a key in the bucket, where the folder
    of a published `train-gan` output (`runs/RUN/train-gan/LABEL`) also stands for its generator. Mapping
    layers and channels must be the file's; RGB becomes grey; resolutions that the file lacks start fresh."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """The sha256 (hex) of that file; of an output's generator it stands in its `manifest.json`."""


class MetricsConfig(FeaturesConfig):
    """How generated images are compared with real ones, at every snapshot and at the end."""

    images: Annotated[int, Field(ge=8)] = 2000
    """Generated images, and at most as many real ones (8 or more). Fréchet distances of other numbers can't
    be compared."""

    patience: Count | None = None
    """Snapshots in a row without a smaller Fréchet distance after which training ends; null trains to the
    end. The generator of the smallest distance is published either way."""


class TrainGanSettings(Config):
    """Training of StyleGAN2-ADA. Where a default is null, the preset says what holds."""

    preset: Preset = "radiograph"
    """What fills in for null: `auto` follows resolution and number of devices as the published release does,
    `paper256` is the ADA paper's setup for 256×256, `radiograph` is `auto` with augmentations that leave a
    radiograph upright and its side marker readable."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of initial weights and of every draw during training."""

    kimg: Positive = 25_000.0
    """Length of training in thousands of real images shown to the discriminator."""

    batch: Count | None = None
    """Images a step over all devices together; a multiple of devices × minibatch_std_group."""

    learning_rate: Positive | None = None
    """Adam's learning rate, of both networks."""

    gamma: NotNegative | None = None
    """Weight of the R1 penalty."""

    ema_kimg: NotNegative | None = None
    """Half-life of the moving average of the generator's weights, in thousands of images."""

    ema_rampup: Probability | None = None
    """The half-life is at most this share of the images seen so far (0 to 1); 0 switches the limit off."""

    channel_base: Count | None = None
    """Channels at resolution r are min(channel_base / r, channel_max)."""

    channel_max: Count | None = None
    """Upper limit of channels at any resolution."""

    mapping_layers: Count | None = None
    """Fully connected layers from z to w."""

    minibatch_std_group: Count | None = None
    """Images over which the discriminator compares its features (minibatch standard deviation)."""

    augment: Augmentation | None = None
    """Adaptive augmentation: `b` pixel blitting, `g` geometric, `c` colour, `f` filtering by frequency bands,
    `n` noise, and a last `c` for cutout; `radiograph` is integer shifts, scaling, rotation by at most 10°,
    fractional shifts, brightness and contrast; `none` switches it off."""

    augment_target: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """Share by which real images with positive logits may outweigh the others, r_t, before augmentation
    becomes stronger (0 to 1)."""

    augment_kimg: Positive = 500.0
    """Thousands of images in which the augmentation probability p can go from 0 to 1."""

    augment_initial: Probability = 0.0
    """Augmentation probability p at the start (0 to 1)."""

    initial: InitialConfig | None = None
    """Weights to start from; without this section they are drawn."""

    freeze_d: Annotated[int, Field(ge=0)] = 0
    """How many of the discriminator's highest-resolution blocks keep their initial weights, its first layer
    among them (0 for none, up to log2(resolution) − 2); needs `initial` with a discriminator."""

    mirror: bool = False
    """Also train on every image flipped left to right, as if the data set had twice as many."""

    style_mixing: Probability = 0.9
    """Probability that an image takes its later layers' styles from a second z (0 to 1)."""

    path_length_weight: NotNegative = 2.0
    """Weight of the path length regulariser; 0 switches it off."""

    path_length_interval: Count = 4
    """Generator steps from one path length regularisation to the next."""

    r1_interval: Count = 16
    """Discriminator steps from one R1 regularisation to the next."""

    precision: Precision = "float32"
    """Number format of the activations at the four highest resolutions. Weights, the image, losses and all
    lower resolutions are float32 in any case."""

    compile: bool = False
    """Whether torch compiles the networks, but for the regularisers' second derivatives. For GPUs: CPUs gain
    nothing by it. It needs a C compiler beside torch, which the images don't have, and takes minutes."""

    tick_kimg: Positive = 4.0
    """Thousands of images from one line of metrics to the next."""

    snapshot_ticks: Count = 50
    """Ticks from one grid of generated images to the next."""

    checkpoint_ticks: Count = 50
    """Ticks from one checkpoint to the next, if none was due for the time spent."""

    checkpoint_minutes: Positive = 20.0
    """Minutes of training after which a checkpoint is due at the end of the tick."""

    metrics: MetricsConfig = MetricsConfig()
    """How far generated images are from real ones."""

    diversity_alarm: Probability = 0.1
    """Training stops with an error once images vary less than this share of how real ones do, at two
    snapshots in a row (mode collapse; 0 to 1, 0 switches the alarm off)."""

    grid_images: Annotated[int, Field(ge=4, le=1024)] = 64
    """Images in a grid (4 to 1024)."""

    @model_validator(mode="after")
    def _patience_needs_distances(self) -> "TrainGanSettings":
        if self.metrics.patience is not None and self.metrics.space == "none":
            raise ValueError("metrics.patience waits for a distance; set metrics.space to other than none")
        return self

    @model_validator(mode="after")
    def _freezes_what_is_given(self) -> "TrainGanSettings":
        if self.freeze_d and self.initial is None:
            raise ValueError("freeze_d keeps random weights unless initial is given")
        return self


class TrainGanConfig(TrainGanSettings):
    """A generator for one label, or for both."""

    label: Literal[Label, "both"]
    """The label whose training images are learned; `both` makes one label-conditional generator, which learns
    from all images and draws either label."""

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels whose images are learned; several are the classes of a conditional generator."""
        return LABELS if self.label == "both" else (self.label,)


class NetworkConfig(Config):
    """Shapes of generator and discriminator: what it takes to build them before weights are loaded."""

    resolution: Annotated[int, Field(ge=8)]
    """Side of the image in pixels, a power of two."""
    image_channels: Count
    """1 for radiographs."""
    labels: Annotated[int, Field(ge=0)]
    """Classes of a label-conditional network, 0 for an unconditional one."""
    channel_base: Count
    channel_max: Count
    mapping_layers: Count
    minibatch_std_group: Count
    precision: Precision

    def channels(self, resolution: int) -> int:
        """Channels of the features at a resolution."""
        return max(1, min(self.channel_base // resolution, self.channel_max))


class Recipe(Config):
    """All numbers of one training, none left open."""

    network: NetworkConfig
    classes: tuple[Label, ...]
    """Labels of a conditional network, in the order of its one-hot codes; empty for an unconditional one."""
    batch: Count
    """Images a step over all devices together."""
    learning_rate: Positive
    gamma: NotNegative
    ema_kimg: NotNegative
    ema_rampup: Probability
    augment: Augmentation


def resolve(
    settings: TrainGanSettings,
    resolution: int,
    image_channels: int,
    world_size: int,
    classes: tuple[Label, ...] = (),
) -> Recipe:
    """What the settings mean for this resolution, number of processes, and labels of a conditional network.

    Raises:
        ConfigError: the batch can't be shared out in whole minibatch-std groups, or more blocks are to be
            frozen than there are.
    """
    blocks = resolution.bit_length() - 3
    if settings.freeze_d > blocks:
        raise ConfigError(
            f"freeze_d: {settings.freeze_d}, but the discriminator has {blocks} blocks at "
            f"{resolution}×{resolution}; set it to {blocks} or less"
        )
    paper = settings.preset == "paper256"
    batch = settings.batch or (64 if paper else _auto_batch(resolution, world_size))
    group = settings.minibatch_std_group or (8 if paper else min(max(batch // world_size, 1), 4))
    if batch % (world_size * group):
        raise ConfigError(
            f"batch: {batch} can't be shared by {world_size} processes in whole groups of {group} images; "
            f"set batch to a multiple of {world_size * group}, or minibatch_std_group to a divisor of "
            f"{batch / world_size:g}"
        )
    augment: Augmentation = "radiograph" if settings.preset == "radiograph" else "bgc"
    return Recipe(
        network=NetworkConfig(
            resolution=resolution,
            image_channels=image_channels,
            labels=len(classes),
            channel_base=_or(settings.channel_base, 16384 if resolution < 512 else 32768),
            channel_max=_or(settings.channel_max, 512),
            mapping_layers=_or(settings.mapping_layers, 8 if paper else 2),
            minibatch_std_group=group,
            precision=settings.precision,
        ),
        classes=classes,
        batch=batch,
        learning_rate=_or(settings.learning_rate, 0.0025 if paper or resolution < 1024 else 0.002),
        gamma=_or(settings.gamma, 1.0 if paper else 0.0002 * resolution**2 / batch),
        ema_kimg=_or(settings.ema_kimg, 20.0 if paper else batch * 10 / 32),
        ema_rampup=_or(settings.ema_rampup, 0.0 if paper else 0.05),
        augment=settings.augment or augment,
    )


def _auto_batch(resolution: int, world_size: int) -> int:
    """The published rule: keeps the memory of a device in bounds."""
    return max(min(world_size * min(4096 // resolution, 32), 64), world_size)


def _or(value: T | None, preset: T) -> T:
    return preset if value is None else value
