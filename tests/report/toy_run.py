"""A whole run with known truth, published through the real draft, without training anything."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
import pandas as pd
from PIL import Image
from scipy.special import expit

from mura_jobs.bucket.base import Bucket
from mura_jobs.classifier.arms import Arm
from mura_jobs.classifier.calls import CHOSEN, MAPS, choose
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.job.config import Config, Label
from mura_jobs.job.events import Events
from mura_jobs.job.job import Job
from mura_jobs.job.manifest import Usage
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.world import World
from mura_jobs.radiographs.config import PreprocessConfig
from mura_jobs.radiographs.leaks import COLUMNS, DUPLICATES
from mura_jobs.radiographs.packed import csv_bytes, npy_bytes, parquet_bytes, write_packed
from mura_jobs.report.config import ReportConfig
from mura_jobs.report.report import run
from mura_jobs.synthetic.config import SynthesizeConfig
from mura_jobs.synthetic.gate import nearest, nearest_earlier, thumbnails

Images = NDArray[np.uint8]
LABELS: tuple[Label, Label] = ("positive", "negative")


class Toy(Config):
    """Stands for the configuration of a training."""

    name: str
    """Which one."""


@dataclass(frozen=True)
class ToyRun:
    """What the run is to look like."""

    bucket: Bucket
    arms: tuple[str, ...] = ("real", "real-duplicated", "real+synthetic")
    seeds: int = 3
    patients: int = 160
    resolution: int = 32
    effects: Mapping[str, float] = field(default_factory=dict)
    """Added distance between the labels' mean logits by arm; all others have none."""
    between_seeds: float = 0.1
    """Standard deviation of that distance between seeds."""
    patient_name: str = "patient{:05d}"
    data_set: str = "MURA-v1.1"
    copies: int = 0
    """Test images that `preprocess` is to have found in train too, mirrored."""

    @property
    def places(self) -> list[str]:
        """What the report reads."""
        generated = [f"{stage}/{label}" for stage in ("train-gan", "synthesize") for label in LABELS]
        trained = [f"train-cnn/{arm}/seed-{seed}" for arm in self.arms for seed in range(self.seeds)]
        return ["preprocess", *generated, *trained]

    def config(self, **settings: object) -> ReportConfig:
        """The report's configuration."""
        values = {"labels": list(LABELS), "arms": list(self.arms), "seeds": self.seeds, "resamples": 400}
        return ReportConfig.parse(values | settings)

    def publish(self) -> None:
        """Publish everything that comes before the report."""
        index, images = self.radiographs()
        self.publish_real(index, images)
        for label in LABELS:
            self.publish_generator(label)
            self.publish_synthetic(label, index, images)
        for arm in self.arms:
            for seed in range(self.seeds):
                self.publish_classifier(arm, seed, index)

    def report(self, scratch: Path, **settings: object) -> Artifact:
        """Run the report on what is published."""
        config = self.config(**settings)
        output = self._draft("report", config, self.places)
        output.plain_names = True
        scratch.mkdir(exist_ok=True)
        job = Job(
            bucket=self.bucket,
            inputs={place: self.open(place) for place in self.places},
            output=output,
            events=Events(self.bucket, style="json", run="toy", instance="report"),
            shutdown=Shutdown(),
            world=World(),
            scratch=scratch,
        )
        run(config, job)
        return self.open("report")

    def open(self, place: str) -> Artifact:
        """What is published at a place of the run."""
        return Artifact.open(self.bucket, f"runs/toy/{place}")

    def radiographs(self) -> tuple[pd.DataFrame, Images]:
        """One to three studies a patient, one to three images a study."""
        random = np.random.default_rng(0)
        rows = []
        for number in range(self.patients):
            patient = self.patient_name.format(number)
            split = "test" if number % 3 == 0 else "select" if number % 7 == 1 else "train"
            for study in range(1, random.integers(1, 3) + 1):
                label = LABELS[random.integers(2)]
                rows += [
                    {
                        "key": f"XR_SHOULDER/{patient}/study{study}_{label}/image{image}.png",
                        "patient": patient,
                        "study": f"{patient}/study{study}",
                        "body_part": "XR_SHOULDER",
                        "label": label,
                        "split": split,
                    }
                    for image in range(1, random.integers(1, 4) + 1)
                ]
        index = pd.DataFrame(rows).sort_values("key", ignore_index=True)
        return index, np.stack([self.image(random, label) for label in index["label"]])

    def image(self, random: np.random.Generator, label: str) -> Images:
        """A bright curved band; in positive ones it is broken."""
        side = self.resolution
        y, x = np.mgrid[:side, :side] / side
        centre, bend = random.uniform(0.35, 0.65), random.uniform(-0.3, 0.3)
        band = np.exp(-(((x - centre - bend * (y - 0.5) ** 2) / random.uniform(0.07, 0.13)) ** 2))
        if label == "positive":
            band = np.where(y > random.uniform(0.4, 0.6), np.roll(band, side // 10, axis=1), band)
        grey = 40 + 170 * band + cv2.GaussianBlur(random.normal(0, 60, (side, side)), (0, 0), 1.2)
        return np.asarray(grey.clip(0, 255), np.uint8)

    def publish_real(self, index: pd.DataFrame, images: Images) -> None:
        """What `preprocess` would have made."""
        draft = self._draft("preprocess", PreprocessConfig(resolution=self.resolution), [])
        write_packed(draft, cleaned(index), images, shard_images=100)
        draft.put(DUPLICATES, csv_bytes(self.pairs(index)))
        draft.put("preview.png", png(np.concatenate(images[:4], axis=1)))
        draft.publish({"data_set": self.data_set} | self.flaws())

    def flaws(self) -> dict[str, object]:
        """What `preprocess` is to have said of unreadable files and of the data set."""
        return {"unreadable": {}, "warnings": []}

    def pairs(self, index: pd.DataFrame) -> pd.DataFrame:
        """What `preprocess` is to have found twice."""
        sides = {"": index[index["split"] == "train"], "other_": index[index["split"] == "test"]}
        columns = {
            f"{side}{name}": rows[name].to_numpy()[: self.copies]
            for side, rows in sides.items()
            for name in COLUMNS
        }
        return pd.DataFrame(columns | {"distance": 0.01, "detail": 0.99, "copy": "mirrored", "dropped": ""})

    def publish_generator(self, label: Label) -> None:
        """What `train-gan` would have made, as far as the report reads it."""
        draft = self._draft(f"train-gan/{label}", Toy(name=label), ["preprocess"])
        ticks = [
            {
                "kimg": float(tick),
                "loss_G": 1 / tick,
                "loss_D_fake": 0.5,
                "loss_D_real": 0.6,
                "r_t": 0.5,
                "p": tick / 20,
                "r1": 0.01 / tick,
                "path_length": None if tick == 1 else 0.3,
            }
            | ({"frechet-distance/efficientnet-lite0": 40 / tick} if tick % 4 == 0 else {})
            for tick in range(1, 9)
        ]
        draft.put("metrics.jsonl", "".join(json.dumps(tick) + "\n" for tick in ticks).encode())
        draft.publish({})

    def publish_synthetic(
        self, label: Label, real: pd.DataFrame, images: Images, changes: Mapping[str, str] | None = None
    ) -> None:
        """What `synthesize` would have made; `changes` overwrites columns of its index."""
        random = np.random.default_rng(len(label))
        names = [f"synthetic-{label}-{number:07d}" for number in range(60)]
        fakes = np.stack([self.image(random, label) for _ in names])
        train = ((real["split"] == "train") & (real["label"] == label)).to_numpy()
        near = nearest(thumbnails(fakes, 32), thumbnails(images[train], 32))
        index = pd.DataFrame(
            {
                "key": [f"synthetic/{label}/{name}.png" for name in names],
                "patient": names,
                "study": [f"{name}/study1" for name in names],
                "body_part": "XR_SHOULDER",
                "label": label,
                "split": "train",
                "nearest_train": real.loc[train, "key"].to_numpy()[near.row],
                "train_distance": near.distance,
                "fake_distance": nearest_earlier(thumbnails(fakes, 32)).distance,
            }
        )
        draft = self._draft(
            f"synthesize/{label}", SynthesizeConfig(label=label), ["preprocess", f"train-gan/{label}"]
        )
        write_packed(draft, index.assign(**(changes or {})), fakes, shard_images=100)
        rejected = {"memorisation": 3, "duplicates": 1}
        draft.publish({"candidates_used": 64, "rejected": rejected, "threshold": 0.1})

    def publish_classifier(self, arm: str, seed: int, index: pd.DataFrame) -> None:
        """What `train-cnn` would have made: the same patients are easy or hard in every arm and seed."""
        synthetic = Arm.parse(arm).has_synthetic
        places = ["preprocess", *(f"synthesize/{label}" for label in LABELS if synthetic)]
        draft = self._draft(f"train-cnn/{arm}/seed-{seed}", Toy(name=f"{arm} {seed}"), places)
        positive = (index["label"] == "positive").to_numpy()
        patient = pd.factorize(index["patient"])[0]
        shared, own = np.random.default_rng(1), np.random.default_rng([seed, *arm.encode()])
        distance = 1.5 + self.effects.get(arm, 0.0) + self.between_seeds * own.normal()
        logit = (
            distance * (positive - 0.5)
            + 0.4 * shared.normal(size=self.patients)[patient]
            + 0.8 * shared.normal(size=len(index))
            + 0.4 * own.normal(size=len(index))
        )
        chosen = index[["key", "patient", "study", "body_part", "split", "label"]].assign(
            logit=logit, probability=expit(logit)
        )
        draft.put("predictions.parquet", parquet_bytes(chosen[index["split"] != "train"]))
        epochs = np.arange(1, 9)
        history = pd.DataFrame(
            {
                "epoch": epochs,
                "train_loss": 0.7 / epochs + 0.01 * seed,
                "select_loss": 0.6 / np.sqrt(epochs),
                "select_auroc": 0.9 - 0.3 / epochs,
            }
        )
        draft.put("history.csv", history.to_csv(index=False).encode())
        train = int((index["split"] == "train").sum())
        parsed = Arm.parse(arm)
        real = round(train * parsed.fraction) * parsed.has_real
        extra = parsed.amount.images(real // 2) * 2 if parsed.amount else 0
        counts = {"real": real, "copies": extra * (not synthetic), "synthetic": extra * synthetic}
        counts |= {"positive": (real + extra) // 2, "negative": (real + extra + 1) // 2}
        thresholds = {"image": 0.5, "study": 0.5}
        metrics = {"thresholds": thresholds, "training_images": counts}
        metrics |= {"steps": 96, "epochs": 8, "best_epoch": 7}
        draft.put("metrics.json", json.dumps(metrics).encode())
        looked = choose(chosen[chosen["split"] == "test"], 0.5, 3)
        draft.put(CHOSEN, parquet_bytes(looked))
        draft.put(MAPS, npy_bytes(own.integers(0, 256, (len(looked), *[self.resolution] * 2), np.uint8)))
        draft.publish({})

    def _draft(self, place: str, config: Config, inputs: Iterable[str]) -> Draft:
        return Draft(
            self.bucket,
            f"runs/toy/{place}",
            stage=place.split("/", maxsplit=1)[0],
            config=config.plain(),
            inputs={name: self.open(name).manifest.digest for name in inputs},
            usage=lambda: Usage(devices=("toy CPU, 2 cores",), wall_seconds=61.5, device_seconds=61.5),
        )


def png(image: Images) -> bytes:
    """A grey PNG."""
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def cleaned(index: pd.DataFrame) -> pd.DataFrame:
    """An index with the columns of cleaning: of ten radiographs one inverted, two turned and four marked."""
    random, number = np.random.default_rng(5), np.arange(len(index))
    confidences = {
        f"{step}_confidence": random.uniform(0.5, 1, len(index))
        for step in ("inverted", "field", "rotation", "markers", "window")
    }
    return index.assign(
        raw_width=512,
        raw_height=480,
        field_width=np.where(number % 10 < 3, 400.0, 512.0),
        field_height=480.0,
        rotation=np.where(number % 10 < 2, 7.5, 0.0),
        inverted=number % 10 == 4,
        markers=(number % 10 < 4).astype(int),
        window_black=0.1,
        window_white=0.8,
        raw_brightness=random.uniform(0, 1, len(index)),
        brightness=random.uniform(0.4, 0.6, len(index)),
        **confidences,
        confidence=np.prod(list(confidences.values()), axis=0),
    )
