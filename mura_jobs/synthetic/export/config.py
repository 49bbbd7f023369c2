"""Configuration of the command `export`."""

from typing import Annotated, Literal

from pydantic import Field

from mura_jobs.job.config import Config, Split

Place = Annotated[str, Field(pattern=r"^(preprocess|synthesize/(positive|negative))$")]


class ExportConfig(Config):
    """Packed data sets of a run as PNG files for other tools."""

    sources: Annotated[tuple[Place, ...], Field(min_length=1)] = (
        "synthesize/positive",
        "synthesize/negative",
    )
    """Data sets of the run to export together: `preprocess`, `synthesize/positive`, `synthesize/negative`."""

    form: Literal["folders", "zip"] = "folders"
    """`folders` makes `positive/SHOULDER/….png`, `zip` the archive with `dataset.json` that the published
    StyleGAN2-ADA trains from (label 1 is positive). Both hold `labels.csv`, which `preprocess` can read."""

    split: Split | Literal["all"] = "train"
    """Split to take. Synthetic radiographs are all `train`."""

    to: Annotated[str, Field(min_length=1)] | None = None
    """Where the export becomes the folder `name`: s3://BUCKET/PREFIX or file:///FOLDER; by default under
    `export/` beside the run's stages."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$")] = "export"
    """Name of the export's folder."""

    allow_memorised: bool = False
    """Also export synthetic radiographs that are copies of training images, or that nobody has compared with
    them: they may show a patient."""
