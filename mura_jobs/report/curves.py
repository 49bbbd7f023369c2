"""Curves of the trainings: generators by tick, classifiers by epoch."""

from collections.abc import Mapping
import io
import json
from typing import Any

import numpy as np
import pandas as pd

from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact
from mura_jobs.report.config import ReportConfig
from mura_jobs.report.figures import bundle, lines
from mura_jobs.report.pictures import Picture

_GENERATOR_PANELS = {
    "losses": {
        "loss_G": "generator",
        "loss_D_fake": "discriminator, fakes",
        "loss_D_real": "discriminator, reals",
    },
    "augmentation": {"r_t": "overfitting r_t", "p": "augmentation p"},
    "regularisers": {"r1": "R1 penalty", "path_length": "path length"},
}

_MEASURES = {"frechet-distance": "Fréchet distance", "kernel-distance": "kernel distance"}

_CLASSIFIER_PANELS = (
    ("loss", "loss", {"train": "train_loss", "select": "select_loss"}),
    ("auroc", "AUROC on select", {"select": "select_auroc"}),
)


def generator_pictures(config: ReportConfig, inputs: Mapping[str, Artifact]) -> list[Picture]:
    """Losses, augmentation and regularisers of each generator."""
    found = []
    for place in dict.fromkeys(config.generator_places):
        label = place.rpartition("/")[2]
        table = pd.DataFrame([json.loads(line) for line in inputs[place].read("metrics.jsonl").splitlines()])
        kimg = table["kimg"].to_numpy(np.float64)
        for panel, measures in (_GENERATOR_PANELS | _distances(table)).items():
            # A measure that was switched off is absent, and null in ticks without it.
            series = {
                words: (kimg[known], table.loc[known, name].to_numpy(np.float64))
                for name, words in measures.items()
                if name in table and (known := table[name].notna().to_numpy()).any()
            }
            if series:
                found.append(
                    Picture(
                        name=f"generator-{label}-{_slug(panel)}.svg",
                        data=lines(series, title=f"{label}: {panel}", xlabel="kimg"),
                        alt=f"{panel} of the generator of {label} over {kimg[-1]:g} kimg: "
                        + ", ".join(f"{name} ends at {y[-1]:.3g}" for name, (_, y) in series.items()),
                    )
                )
    return found


def _distances(table: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Panels of what compares synthetic with real images, each named MEASURE/FEATURE-SPACE."""
    panels: dict[str, dict[str, str]] = {}
    for name in table:
        measure, _, space = str(name).partition("/")
        if space:
            panels.setdefault(_MEASURES.get(measure, measure), {})[str(name)] = space
    return panels


def classifier_pictures(config: ReportConfig, inputs: Mapping[str, Artifact]) -> list[Picture]:
    """Loss and AUROC over epochs, one figure an arm, one line a seed."""
    found = []
    tables = {
        arm: [
            _history(place, inputs[place])
            for place in (f"train-cnn/{arm}/seed-{seed}" for seed in range(config.seeds))
        ]
        for arm in config.arms
    }
    for panel, ylabel, columns in _CLASSIFIER_PANELS:
        drawn = pd.concat([table[list(columns.values())] for arm in tables.values() for table in arm])
        limits = (float(drawn.min().min()), float(drawn.max().max()))  # the same for all arms
        for arm in config.arms:
            groups = {
                name: [
                    (table["epoch"].to_numpy(float), table[column].to_numpy(float)) for table in tables[arm]
                ]
                for name, column in columns.items()
            }
            last = {name: np.mean([y[-1] for _, y in curves]) for name, curves in groups.items()}
            found.append(
                Picture(
                    name=f"classifier-{arm}-{panel}.svg",
                    data=bundle(groups, title=arm, xlabel="epoch", ylabel=ylabel, limits=limits),
                    alt=f"{ylabel} of {arm} over epochs, one line a seed: "
                    + ", ".join(f"{name} ends at {value:.3g} on average" for name, value in last.items()),
                )
            )
    return found


def training_facts(config: ReportConfig, inputs: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    """For each arm, what its classifiers trained on and for how long, by seed."""
    wanted = ("training_images", "steps", "epochs", "best_epoch")
    found = []
    for arm in config.arms:
        metrics = [
            json.loads(inputs[f"train-cnn/{arm}/seed-{seed}"].read("metrics.json"))
            for seed in range(config.seeds)
        ]
        means = {
            name: float(np.mean([one["training_images"][name] for one in metrics]))
            for name in metrics[0]["training_images"]
        } | {"steps": float(np.mean([one["steps"] for one in metrics]))}
        seeds = [{name: one[name] for name in wanted} for one in metrics]
        found.append({"arm": arm, "mean": means, "seeds": seeds})
    return found


def _slug(panel: str) -> str:
    return panel.lower().replace("é", "e").replace(" ", "-")


def _history(place: str, artifact: Artifact) -> pd.DataFrame:
    table = pd.read_csv(io.BytesIO(artifact.read("history.csv")))
    missing = {"epoch", "train_loss", "select_loss", "select_auroc"} - set(table)
    if missing:
        raise InputError(f"{place}: history.csv has no column {', '.join(sorted(missing))}; train it again")
    return table
