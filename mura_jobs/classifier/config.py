"""Configuration of the stage `train-cnn`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mura_jobs.classifier.arms import Arm
from mura_jobs.features.config import NetworkConfig
from mura_jobs.job.config import Config


class AugmentConfig(Config):
    """Random changes of training images. Each image of each step draws its own; 0 switches a change off."""

    flip: bool = True
    """Mirror left and right with probability 0.5."""

    rotate: Annotated[float, Field(ge=0, le=180)] = 10.0
    """Largest rotation to either side in degrees (0 to 180)."""

    scale: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Largest change of size: factors are drawn from 1 / (1 + scale) to 1 + scale, evenly in the logarithm
    (0 to below 1)."""

    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Largest shift in either direction as a share of the side (0 to 0.5)."""

    brightness: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Largest change of brightness as a share of the grey range (0 to 1)."""

    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Largest change of contrast: factors are drawn from 1 / (1 + contrast) to 1 + contrast (0 to below
    1)."""


class OptimiserConfig(Config):
    """How the weights are moved."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    """The method; `sgd` has Nesterov momentum 0.9, `adam` and `adamw` the betas 0.9 and 0.999."""

    lr: Annotated[float, Field(gt=0, le=10)] = 1e-3
    """Highest learning rate (above 0 to 10)."""

    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    """Weight decay (0 to 1): decoupled for `adamw`, else an L2 penalty. Biases and normalisation are
    spared."""

    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    """Learning rate over time: `cosine` falls to 0 at the last step; `plateau` divides by 10 each time the
    criterion on `select` has not improved for `plateau_epochs`; `constant` stays."""

    plateau_epochs: Annotated[int, Field(ge=1)] = 3
    """Epochs without improvement before `plateau` lowers the learning rate."""

    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Epochs over which the learning rate rises linearly from 0 at the start (0 or more)."""


class TrainCnnSettings(Config):
    """Training of the classifiers: what all arms and seeds share."""

    network: NetworkConfig = NetworkConfig()
    """The classifier."""

    augment: AugmentConfig = AugmentConfig()
    """Random changes of training images."""

    optimiser: OptimiserConfig = OptimiserConfig()
    """How the weights are moved."""

    epochs: Annotated[int, Field(ge=1)] = 30
    """Length of training. In every arm an epoch is as many steps as one pass over all real training images
    takes, so that all arms take equally many steps whatever their training sets' sizes."""

    batch: Annotated[int, Field(ge=2, le=65536)] = 64
    """Images in a step, over all processes together (2 to 65536)."""

    class_weighting: bool = True
    """Weight the loss so that both labels count the same however many images they have."""

    ema_epochs: Annotated[float, Field(ge=0)] = 0.0
    """Time constant in epochs of a moving average of the weights, which is then what is scored and kept; 0 is
    without."""

    criterion: Literal["auroc", "loss", "last"] = "auroc"
    """Which epoch's weights are kept: the one with the highest AUROC or the lowest loss on `select` (of
    equals the earlier), or the last."""

    patience: Annotated[int, Field(ge=1)] | None = None
    """Epochs without improvement of the criterion after which training stops early; not given, arms take
    equally many steps."""

    threshold: Literal["youden", "accuracy", "half"] = "youden"
    """Where the decision threshold lies, for images and for studies each: the one with the highest
    sensitivity + specificity on `select`, or with the highest accuracy there, or 0.5."""

    gradcam_images: Annotated[int, Field(ge=0, le=64)] = 4
    """Test images of each kind of call (true positive, false negative, false positive, true negative) that
    get a Grad-CAM map, the surest calls of each kind; 0 makes none (0 to 64)."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the network; weights, losses and statistics stay in float32. In bfloat16 not every kernel
    of every device repeats itself to the last bit, and so neither does training."""

    checkpoint_epochs: Annotated[int, Field(ge=1)] = 1
    """Epochs between checkpoints, from which a stopped training goes on exactly. SIGTERM always makes one."""

    @model_validator(mode="after")
    def _fits(self) -> "TrainCnnSettings":
        if self.criterion == "last" and (self.patience or self.optimiser.schedule == "plateau"):
            raise ValueError("criterion: last can't tell improvement, which patience and plateau need")
        return self


def _arm(name: str) -> str:
    Arm.parse(name)
    return name


class TrainCnnConfig(TrainCnnSettings):
    """Training of one classifier."""

    arm: Annotated[str, AfterValidator(_arm)]
    """What it is trained on: `real`, `real-duplicated`, `real+synthetic` or `synthetic-only`, with an amount
    of extra images (`-x0.5`, `-n960`) and a share of the real patients (`-f0.25`)."""

    seed: Annotated[int, Field(ge=0)]
    """Seed of initialisation, order and augmentation; the initialisation is the same for all arms of a
    seed."""
