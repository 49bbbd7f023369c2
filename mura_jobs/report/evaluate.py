"""`evaluate`: trained classifiers scored on radiographs that are no part of their run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
import json
from typing import Any

import numpy as np
import pandas as pd

from mura_jobs.bucket.base import Bucket
from mura_jobs.classifier.evaluate import encode, load_scorer, require_both
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.job.job import Job
from mura_jobs.job.manifest import MANIFEST, read_manifest
from mura_jobs.radiographs.config import PreprocessConfig
from mura_jobs.radiographs.dataset import Radiograph
from mura_jobs.radiographs.packed import Packed
from mura_jobs.radiographs.preprocess import pack
from mura_jobs.report.config import EvaluateConfig, Unit
from mura_jobs.report.evidence import describe_arm, score_arms
from mura_jobs.report.firewall import pixel_digests
from mura_jobs.report.predictions import Predictions, by_study

FORMAT = "mura-jobs-evaluate/1"


def resolve(bucket: Bucket, run_id: str, config: EvaluateConfig) -> EvaluateConfig:
    """The same with every classifier named: folders of classifiers become the published ones in them.

    Raises:
        ConfigError: nothing that was named is published.
    """
    found: list[str] = []
    for name in config.models:
        place = name.strip("/")
        start = f"runs/{run_id}/"
        keys = [entry.key for entry in bucket.list(f"{start}{place}/") if entry.key.endswith(f"/{MANIFEST}")]
        places = [key.removeprefix(start).removesuffix(f"/{MANIFEST}") for key in keys]
        trained = [one for one in places if one.startswith("train-cnn/") and one.count("/") == 2]
        if not trained:
            raise ConfigError(
                f"models: {bucket.url}/{start}{place} holds no published classifier; expected "
                f"train-cnn/ARM/seed-0, train-cnn/ARM or train-cnn, relative to runs/{run_id}"
            )
        found += [one for one in trained if one not in found]
    return config.model_copy(update={"models": tuple(found)})


def run(config: EvaluateConfig, job: Job) -> None:
    """Score classifiers and publish predictions.parquet and metrics.json.

    Seeds of an arm are scored together: the mean over them, with an interval over patients and seeds. Every
    classifier decides at its own thresholds, which were fixed in its training.

    Raises:
        InputError: the radiographs can't be read, or lack one of the labels.
    """
    if not job.world.is_main:
        return
    packed, data = _radiographs(config, job)
    require_both(packed.index["label"], f"evaluate: {config.source or config.data}")
    known = _known(job.inputs["preprocess"], packed, job)
    if known:
        message = f"{known} of these images are, pixel for pixel, in the run's splits train or select"
        job.events.emit("warning", message=message)
    arms: dict[str, list[str]] = {}
    for place in config.models:
        arms.setdefault(job.inputs[place].manifest.config["arm"], []).append(place)
    tables: dict[str, pd.DataFrame] = {}
    thresholds: dict[str, dict[Unit, float]] = {}
    with job.events.progress(len(config.models), "classifier", "evaluate") as bar:
        for place in config.models:
            scorer, thresholds[place] = load_scorer(job.inputs[place], job.world.device)
            tables[place] = scorer.predict(packed, config.batch, job.world.device)
            bar.advance()
            job.shutdown.check()
    images = Predictions(
        unit="image",
        names=tuple(packed.index["key"]),
        positive=(packed.index["label"] == "positive").to_numpy(),
        patient=pd.factorize(packed.index["patient"])[0].astype(np.int64),
        probability={
            arm: np.stack([tables[place]["probability"].to_numpy(np.float64) for place in places])
            for arm, places in arms.items()
        },
        threshold=_by_arm(arms, thresholds, "image"),
    )
    studies = by_study(images, packed.index.set_index("key")["study"], _by_arm(arms, thresholds, "study"))
    described = _describe(config, arms, [images, studies])
    counts = data | _counts(packed) | {"trained_on": known}
    metrics = {"format": FORMAT, "data": counts, "level": config.level, "arms": described}
    predictions = pd.concat([table.assign(classifier=place) for place, table in tables.items()])
    job.output.put("predictions.parquet", encode(predictions.reset_index(drop=True)))
    job.output.put("metrics.json", json.dumps(metrics, indent=1, allow_nan=False).encode())
    summary = {
        one["arm"]: {unit: one[unit]["scores"]["auroc"]["value"] for unit in ("image", "study")}
        for one in described
    }
    job.output.publish({"images": len(packed), "auroc": summary})


def as_test(radiographs: Sequence[Radiograph], split: str | None) -> tuple[Radiograph, ...]:
    """The images to score, all of them as `test`.

    Args:
        radiographs: with the splits they were shipped with.
        split: which to take; None for `test` where there is one, else all.

    Raises:
        InputError: the wanted split is empty.
    """
    present = sorted({radiograph.split for radiograph in radiographs})
    wanted = split or ("test" if "test" in present else None)
    taken = [r for r in radiographs if wanted is None or r.split == wanted]
    if not taken:
        raise InputError(f"the radiographs have no split {wanted}; they have {', '.join(present)}")
    return tuple(replace(radiograph, split="test") for radiograph in taken)


def _radiographs(config: EvaluateConfig, job: Job) -> tuple[Packed, dict[str, Any]]:
    """What is to be scored, and where it comes from."""
    if config.data is not None:
        artifact = Artifact.open(job.bucket, config.data.strip("/"))
        whole = Packed.load(artifact, job.scratch / "data")
        present = sorted(whole.index["split"].unique())
        split = config.split or ("test" if "test" in present else None)
        packed = whole if split is None else whole.where(split=split)
        if not len(packed):
            raise InputError(f"{config.data}: has no split {split}; it has {', '.join(present)}")
        return packed, {"data": config.data, "digest": artifact.manifest.digest, "split": split}
    assert config.source is not None
    trained = job.inputs["preprocess"].manifest.config
    settings = PreprocessConfig.parse(trained | {"source": config.source}, "preprocess")
    place = f"{job.output.prefix}/data"
    draft = Draft(
        job.bucket, place, stage="preprocess", config=settings.plain() | {"split": config.split}, inputs={}
    )
    published = read_manifest(job.bucket, place)
    if published is None:
        pack(settings, replace(job, inputs={}, output=draft), lambda found: as_test(found, config.split))
    else:
        published.require_same(place, draft.config, {})
    artifact = Artifact.open(job.bucket, place)
    origin = {"source": config.source, "digest": artifact.manifest.digest, "split": config.split}
    return Packed.load(artifact, job.scratch / "data"), origin


def _known(preprocess: Artifact, packed: Packed, job: Job) -> int:
    """How many of the images are, pixel for pixel, in the run's splits `train` and `select`."""
    real = Packed.load(preprocess, job.scratch / "real")
    digests = [
        set(pixel_digests(one.index["key"].tolist(), one.images()).values())
        for one in (real.where(split="train"), real.where(split="select"))
    ]
    mine = pixel_digests(packed.index["key"].tolist(), packed.images())
    return sum(digest in digests[0] | digests[1] for digest in mine.values())


def _by_arm(
    arms: Mapping[str, Sequence[str]], thresholds: Mapping[str, Mapping[Unit, float]], unit: Unit
) -> dict[str, Any]:
    return {arm: np.array([thresholds[place][unit] for place in places]) for arm, places in arms.items()}


def _counts(packed: Packed) -> dict[str, Any]:
    index = packed.index
    return {
        "images": len(index),
        "studies": int(index["study"].nunique()),
        "patients": int(index["patient"].nunique()),
        "positive_images": int((index["label"] == "positive").sum()),
        "resolution": packed.resolution,
    }


def _describe(
    config: EvaluateConfig, arms: Mapping[str, Sequence[str]], units: Sequence[Predictions]
) -> list[dict[str, Any]]:
    scored = [score_arms(predictions, config) for predictions in units]
    return [
        {"arm": arm, "classifiers": list(places)}
        | {
            predictions.unit: describe_arm(arm, predictions, found[arm], config)
            for predictions, found in zip(units, scored, strict=True)
        }
        for arm, places in arms.items()
    ]
