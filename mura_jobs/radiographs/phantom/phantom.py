"""The stage `phantom`: a generated data set in MURA's layout, with its truth beside it."""

from collections import Counter
from collections.abc import Iterator
import csv
from dataclasses import asdict
from io import StringIO
from typing import Any

import cv2

from mura_jobs.job.job import Job
from mura_jobs.job.randomness import numpy_stream
from mura_jobs.radiographs.config import PhantomConfig
from mura_jobs.radiographs.phantom.draw import StudyPlan, draw_image, plan_study
from mura_jobs.radiographs.pool import parallel_map

NAME = "MURA-PHANTOM"
"""The data set's name, the top folder of its tree."""

BODY_PART = "XR_SHOULDER"

FIRST_VALID = 90_001
"""Patients of `valid` are numbered from here, so that the size of `train` changes none of them."""

_STUDIES_PER_UPLOAD = 64


def run(config: PhantomConfig, job: Job) -> None:
    """Draw the data set and publish it, keys as MURA names them under `MURA-PHANTOM/`."""
    folders = {
        "train": range(1, config.train_patients + 1),
        "valid": range(FIRST_VALID, FIRST_VALID + config.valid_patients),
    }
    plans = {
        folder: [study for patient in patients for study in plan_patient(config, patient)]
        for folder, patients in folders.items()
    }
    truths = _draw(config, job, plans)
    counts: dict[str, dict[str, int]] = {}
    for folder, studies in plans.items():
        paths = [image_path(folder, plan, image) for plan in studies for image in images_of(plan)]
        labels = [f"{study_path(folder, plan)}/,{int(plan.label == 'positive')}" for plan in studies]
        job.output.put(f"{NAME}/{folder}_image_paths.csv", _lines(paths))
        job.output.put(f"{NAME}/{folder}_labeled_studies.csv", _lines(labels))
        counts[folder] = {"patients": len(folders[folder]), "studies": len(studies)} | _count(studies)
    job.output.put(f"{NAME}/phantom_truth.csv", _table(truths))
    job.events.emit(
        "counts", **{f"{folder}/{name}": n for folder in counts for name, n in counts[folder].items()}
    )
    job.output.publish({"counts": counts})


def _draw(config: PhantomConfig, job: Job, plans: dict[str, list[StudyPlan]]) -> list[dict[str, Any]]:
    """Draw and store every picture; return the rows of truth."""
    truths: list[dict[str, Any]] = []
    work = [(config, folder, plan) for folder, studies in plans.items() for plan in studies]
    with job.events.progress(sum(len(plan.views) for *_, plan in work), "img", "draw") as bar:
        batch: dict[str, bytes] = {}
        for number, drawn in enumerate(parallel_map(draw_study, work), start=1):
            for path, png, truth in drawn:
                batch[path] = png
                truths.append(truth)
            if number % _STUDIES_PER_UPLOAD == 0 or number == len(work):
                job.output.put_all(batch)
                batch = {}
                job.shutdown.check()
            bar.advance(len(drawn))
    return truths


def plan_patient(config: PhantomConfig, patient: int) -> list[StudyPlan]:
    """The patient's studies: one as a rule, seldom two or three."""
    random = numpy_stream(config.seed, "phantom-patient", patient)
    studies = int(random.choice(3, p=(0.86, 0.11, 0.03))) + 1
    return [plan_study(config, patient, study) for study in range(1, studies + 1)]


def draw_study(work: tuple[PhantomConfig, str, StudyPlan]) -> list[tuple[str, bytes, dict[str, Any]]]:
    """Path, PNG and row of truth of each image of a study."""
    config, folder, plan = work
    drawn = []
    for image in images_of(plan):
        pixels, truth = draw_image(config, plan, image)
        done, png = cv2.imencode(".png", pixels, (cv2.IMWRITE_PNG_COMPRESSION, 4))
        assert done
        path = image_path(folder, plan, image)
        row = {"path": path, "patient": f"patient{plan.patient:05d}", "label": plan.label, **asdict(truth)}
        drawn.append((path, png.tobytes(), row))
    return drawn


def images_of(plan: StudyPlan) -> Iterator[int]:
    """Numbers of a study's images."""
    return iter(range(1, len(plan.views) + 1))


def study_path(folder: str, plan: StudyPlan) -> str:
    """`MURA-PHANTOM/train/XR_SHOULDER/patient00001/study1_positive`."""
    return f"{NAME}/{folder}/{BODY_PART}/patient{plan.patient:05d}/study{plan.study}_{plan.label}"


def image_path(folder: str, plan: StudyPlan, image: int) -> str:
    """The path of one image in the tree."""
    return f"{study_path(folder, plan)}/image{image}.png"


def _count(plans: list[StudyPlan]) -> dict[str, int]:
    images = Counter(plan.label for plan in plans for _ in plan.views)
    return {"images": images.total(), "positive": images["positive"], "negative": images["negative"]}


def _lines(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _table(rows: list[dict[str, Any]]) -> bytes:
    """CSV; a box or a field is written as numbers with spaces between, nothing as an empty cell."""
    text = StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return " ".join(f"{number:g}" for number in value)
    return int(value) if isinstance(value, bool) else value
