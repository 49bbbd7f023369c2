"""Configuration of the stages `phantom` and `preprocess`."""

from typing import Annotated, Literal

from pydantic import Field

from mura_jobs.job.config import Config

Fraction = Annotated[float, Field(ge=0, le=1)]


class PhantomConfig(Config):
    """A generated data set in MURA's layout, whose every finding and flaw is known."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the whole data set. The same seed and sizes give the same bytes."""

    train_patients: Annotated[int, Field(ge=1, le=90_000)] = 400
    """Patients in MURA's `train` folder (1 to 90000). Each has 1 to 3 studies of 1 to 4 images."""

    valid_patients: Annotated[int, Field(ge=1, le=9_000)] = 100
    """Patients in MURA's `valid` folder (1 to 9000)."""

    positive_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Chance that a study is labelled positive (above 0, below 1)."""

    strength: Fraction = 1.0
    """How strongly a finding shows, 0 to 1: displacements and the thickness of metal scale with it. At 0,
    positive studies are drawn from exactly the distribution of negative ones (the negative control)."""

    flaws: Fraction = 1.0
    """How often MURA's flaws occur (inversion, collimation, frames, rotation, markers, odd exposure), 0 to 1;
    1 is about as often as in MURA, 0 gives clean pictures."""

    noise: Annotated[float, Field(ge=0, le=20)] = 1.0
    """Quantum noise as a multiple of a usual exposure's (0 to 20); the dose falls with its square."""

    long_side: Annotated[int, Field(ge=48, le=512)] = 512
    """Longer side of every picture in pixels (48 to 512; MURA's is 512). The shorter one varies."""


class CleaningConfig(Config):
    """What is done to a radiograph before it is packed. Every step can be switched off."""

    invert: bool = True
    """Find pictures with inverted photometry (dark bone on a light background) and turn them."""

    straighten: bool = True
    """Look for fields that lie rotated in the frame too, and turn them upright. A part of `crop`."""

    crop: bool = True
    """Cut off blank margins, frames and what lies outside the collimated field."""

    window: bool = True
    """Stretch the grey values between two percentiles of the anatomy to the full range."""

    window_low: Annotated[float, Field(ge=0, lt=50)] = 0.5
    """Percentile of the cropped picture's grey values that becomes black (0 to below 50)."""

    window_high: Annotated[float, Field(gt=50, le=100)] = 99.5
    """Percentile of the same, markers excepted, that becomes white (above 50 to 100)."""

    clahe: Annotated[float, Field(ge=0, le=40)] = 0.0
    """Clip limit of contrast-limited adaptive histogram equalisation after the window (0 to 40): 0 leaves it
    out, 2 to 4 are usual. It lifts faint structures and noise alike."""

    markers: Literal["ignore", "keep", "mask", "inpaint"] = "keep"
    """Burnt-in letters and lead markers: `keep` finds and records them and changes nothing, `mask` blackens
    their boxes, `inpaint` fills their ink from around, `ignore` does not search. Removing is not the default:
    of a screw or wire mistaken for a letter it would remove what it says about the label."""

    square: Literal["pad", "crop", "stretch"] = "pad"
    """How a picture becomes square: `pad` centres it on black, `crop` keeps the centre of the longer side,
    `stretch` gives up the aspect ratio, as the notebook did."""

    sharpen: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Sharpness after resizing, as Pillow's enhancer counts it (0 to 10): 1 leaves the picture, 2 is the
    notebook's."""


class PreprocessConfig(Config):
    """From raw radiographs to a packed data set."""

    source: Annotated[str, Field(min_length=1)] = "raw/MURA-v1.1"
    """Where the radiographs lie in the bucket: the prefix of a tree in MURA's layout, the key of its `.zip`,
    or the key of a `.csv` with the columns path, label, patient, study, split and perhaps body_part. Images
    are PNG, JPEG or DICOM."""

    body_parts: Annotated[tuple[str, ...], Field(min_length=1)] = ("XR_SHOULDER",)
    """Body parts to take, as MURA names them (`XR_SHOULDER`, `XR_WRIST` …), or `all`."""

    resolution: Annotated[int, Field(ge=16, le=1024)] = 256
    """Side of the square output in pixels (16 to 1024)."""

    select_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of the training patients set aside as the split `select` (above 0, below 1)."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the split. A patient's split depends on it and the patient's name, not on other patients."""

    cleaning: CleaningConfig = CleaningConfig()
    """What is done to each picture."""

    unreadable_share: Fraction = 0.001
    """Share of a split's images that may be unreadable (0 to 1): one in a thousand, so none of a test set of
    a few hundred. Up to it they are left out and named in `unreadable.csv`, above it the stage stops; none
    is ever replaced. An unreadable label table always stops it."""

    duplicates: Literal["list", "drop"] = "list"
    """What is done about the same picture under two patients or in two splits: `list` names the pairs in
    `duplicates.csv`; `drop` also leaves one of each out, from `train` first and never from `test`."""

    shard_images: Annotated[int, Field(ge=1)] = 4096
    """Images in one `.npy` file of the output."""
