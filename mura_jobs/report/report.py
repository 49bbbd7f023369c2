"""The stage `report`: everything that a run made in, the evidence on one page out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
import json
from typing import Any

import numpy as np
import pandas as pd

from mura_jobs.job.job import Job
from mura_jobs.radiographs.packed import Packed
from mura_jobs.radiographs.phantom.phantom import NAME as PHANTOM
from mura_jobs.report.attention import Attention, attention
from mura_jobs.report.cleaning import cleaning_facts, cleaning_picture
from mura_jobs.report.config import ReportConfig
from mura_jobs.report.copies import copied_tests, copy_facts, copy_pictures, read_pairs
from mura_jobs.report.curves import classifier_pictures, generator_pictures, training_facts
from mura_jobs.report.evidence import plain_comparison, weigh
from mura_jobs.report.firewall import check_firewall, holds, pixel_digests
from mura_jobs.report.gallery import Gallery, make_gallery
from mura_jobs.report.learning import learning_curves
from mura_jobs.report.lineage import configurations, cost, lineage
from mura_jobs.report.page import render
from mura_jobs.report.panels import evidence_pictures
from mura_jobs.report.pictures import Picture
from mura_jobs.report.predictions import by_study, read_predictions, read_study_thresholds
from mura_jobs.report.verdict import Verdict, conclude
from mura_jobs.report.words import GATES, answer, explain

_BLOCK = 512
"""Images held at once while their pixels are hashed."""


def run(config: ReportConfig, job: Job) -> None:
    """Weigh the evidence and publish `index.html`, `report.json` and the figures.

    The output is a function of configuration and inputs alone: times on the page are those in the inputs'
    manifests.

    Raises:
        InputError: an input is damaged, or inputs do not belong together.
    """
    inputs = job.inputs
    with job.events.progress(4, "part", "report") as bar:
        real = Packed.load(inputs["preprocess"], job.scratch / "real")
        synthetic = {
            label: Packed.load(inputs[f"synthesize/{label}"], job.scratch / label) for label in config.labels
        }
        indexes = {label: packed.index for label, packed in synthetic.items()}
        pairs = read_pairs(inputs["preprocess"])
        copied = copied_tests(real.index, _digests(real), pairs)
        checks = check_firewall(config, inputs, real.index, indexes, copied)
        bar.advance()
        job.shutdown.check()

        images = read_predictions(config, inputs, real.index)
        studies = by_study(
            images, real.index.set_index("key")["study"], read_study_thresholds(config, inputs)
        )
        weighed, comparisons, controls = weigh(images, studies, config)
        verdict = conclude(comparisons, firewall_holds=holds(checks))
        bar.advance()
        job.shutdown.check()

        galleries = [
            make_gallery(config, label, real, packed, inputs[f"synthesize/{label}"])
            for label, packed in synthetic.items()
        ]
        attended = attention(_attended(config, verdict), inputs, real)
        rows = lineage(inputs)
        preprocessed = inputs["preprocess"].manifest.summary
        phantom = preprocessed["data_set"] == PHANTOM
        report: dict[str, Any] = {
            "format": "mura-jobs-report/1",
            "run": _run_id(job.output.prefix),
            "answer": answer(verdict),
            "sentences": explain(
                verdict, controls, config, family=len(comparisons), phantom=phantom, copied=len(copied)
            ),
            "verdict": {
                "answer": verdict.answer,
                "lead": plain_comparison(verdict.lead) if verdict.lead else None,
            },
            "config": config.plain(),
            **weighed,
            "training": training_facts(config, inputs),
            "attention": [looked.facts for looked in attended],
            "synthetic": [gallery.facts for gallery in galleries],
            "gates": [name for name in GATES if any(name in g.facts["rejected"] for g in galleries)],
            "data_set": preprocessed["data_set"],
            "phantom": phantom,
            "counts": list(_counts(real.index)),
            "cleaning": cleaning_facts(real.index, inputs["preprocess"].prefix),
            "copies": copy_facts(pairs, copied),
            "unreadable": preprocessed["unreadable"],
            "warnings": preprocessed["warnings"],
            "firewall": [asdict(check) for check in checks],
            "lineage": rows,
            "cost": cost(rows),
            "cpu_only": all("CPU" in device for row in rows for device in row["devices"]),
            "configurations": configurations(rows, config.plain()),
        }
        report["learning_curves"] = learning_curves(report, config)
        pictures = {
            **evidence_pictures(report, config),
            "classifiers": classifier_pictures(config, inputs),
            "generators": generator_pictures(config, inputs),
            "attention": attended,
            "galleries": galleries,
            "copies": copy_pictures(pairs, real),
            "cleaning": cleaning_picture(inputs["preprocess"]),
        }
        bar.advance()
        job.shutdown.check()

        page = render(report, pictures, config, real.resolution)
        job.output.put_all({f"figures/{picture.name}": picture.data for picture in _all(pictures.values())})
        job.output.put(
            "report.json", json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False).encode()
        )
        job.output.put("index.html", page.encode())
        bar.advance()
    lead = report["verdict"]["lead"] or {}
    names = ("arm", "baseline", "effect", "interval", "p_holm", "detectable", "blind")
    facts = {name: lead.get(name) for name in names}
    job.output.publish({"answer": report["answer"], "verdict": verdict.answer, **facts})


def _attended(config: ReportConfig, verdict: Verdict) -> list[str]:
    """The arms whose classifiers' maps are shown: those that the verdict compares."""
    lead = verdict.lead
    return [config.arms[0]] if lead is None else [lead.baseline, lead.arm]


def _digests(real: Packed) -> dict[str, str]:
    """The pixels' digest of every real image, by key."""
    keys = real.index["key"].tolist()
    found: dict[str, str] = {}
    for start in range(0, len(keys), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(keys)))
        found |= pixel_digests(keys[start : start + _BLOCK], real.images(rows))
    return found


def _counts(index: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Images, studies and patients by part and split, for each label and together."""
    for part in sorted(index["body_part"].unique()):
        for split in ("train", "select", "test"):
            chosen = index[(index["body_part"] == part) & (index["split"] == split)]
            yield {"body_part": str(part), "split": split} | {
                name: {
                    "images": len(table),
                    "studies": int(table["study"].nunique()),
                    "patients": int(table["patient"].nunique()),
                }
                for name, table in (
                    ("positive", chosen[chosen["label"] == "positive"]),
                    ("negative", chosen[chosen["label"] == "negative"]),
                    ("together", chosen),
                )
            }


def _run_id(prefix: str) -> str:
    """The run's name in the output's prefix, runs/RUN/report."""
    return prefix.split("/")[1]


def _all(places: Sequence[Any] | Mapping[str, Any] | Any) -> Iterator[Picture]:  # noqa: ANN401 - whatever holds pictures
    for place in places:
        if isinstance(place, Picture):
            yield place
        elif isinstance(place, Attention):
            yield from place.pictures
        elif isinstance(place, Gallery):
            yield from (place.real, place.fake, *place.neighbours, place.distances)
        elif place is not None:
            yield from _all(place)
