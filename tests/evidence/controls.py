"""Run the controls and check what was decided beforehand; exit 1, naming every check, where one fails.

    python -m tests.evidence.controls FOLDER            # both; run again, it goes on where it was
    python -m tests.evidence.controls FOLDER nothing    # one of them

What is right was written down before either was run:

helps: a classifier of few real radiographs of a strong finding is better than chance, and many times as many
known-good synthetic ones make it better: verdict "helps", the interval above 0, also against as many copies
of real ones.

nothing: without a finding no arm can tell the labels apart: every arm's interval of study AUROC holds 0.5 (of
four arms at 95%, one misses it by chance in about one of six choices of seeds), and the verdict is "no
evidence".
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

import yaml

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.config import merged
from mura_jobs.radiographs.packed import Packed
from mura_jobs.stages import RunConfig
from tests.evidence.oracle import Oracle

Report = dict[str, Any]
Score = dict[str, Any]
Check = tuple[str, bool, str]
"""What must hold, whether it does, and what was found."""

ORACLE_SEED, ORACLE_PATIENTS = 1, 720
"""Phantoms that stand for synthetic radiographs: another seed, more patients than the amount needs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, check, and print a line a check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("controls", nargs="*", choices=[*CONTROLS, []], default=list(CONTROLS))
    parser.add_argument("--workers", type=int, default=2, help="stage instances at a time")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for name in options.controls:
        before, checks = CONTROLS[name]
        file = Path(__file__).with_name(f"{name}.yaml")
        own = options.folder / name
        own.mkdir(exist_ok=True)
        bucket = open_bucket(own.resolve().as_uri())
        before(bucket, name, file, options.folder)
        _mura_jobs("run", bucket, name, file, "--workers", str(options.workers))
        report = json.loads(Artifact.open(bucket, f"runs/{name}/report").read("report.json"))
        print(f"{name}: {report['answer']}")
        for what, holds, found in checks(report):
            print(f"  {'ok    ' if holds else 'FAILED'} {what}: {found}")
            failed |= not holds
    return int(failed)


def _prepare_nothing(bucket: Bucket, name: str, file: Path, folder: Path) -> None:
    """All stages are the pipeline's own."""


def _prepare_helps(bucket: Bucket, name: str, file: Path, folder: Path) -> None:
    """Have the run's generators trained, and put an oracle's radiographs in place of theirs."""
    values = yaml.safe_load(file.read_text("utf-8"))
    source = folder / "oracle"
    source.mkdir(exist_ok=True)
    drawn = {"seed": ORACLE_SEED, "train_patients": ORACLE_PATIENTS, "valid_patients": 20}
    oracle_file = source / "oracle.yaml"
    oracle_file.write_text(json.dumps(merged(values, {"phantom": drawn})), "utf-8")
    elsewhere = open_bucket(source.resolve().as_uri())
    run = RunConfig.parse(values)
    for stage in ("phantom", "preprocess"):
        _mura_jobs(stage, elsewhere, "oracle", oracle_file)
        _mura_jobs(stage, bucket, name, file)
    for label in run.labels:
        _mura_jobs("train-gan", bucket, name, file, "--label", label)
    artifact = Artifact.open(elsewhere, "runs/oracle/preprocess")
    oracle = Oracle(Packed.load(artifact, source / "packed"), artifact.manifest.digest)
    for label in run.labels:
        oracle.publish(bucket, name, run, label)


def _mura_jobs(command: str, bucket: Bucket, run_id: str, file: Path, *arguments: str) -> None:
    """One command of the program itself.

    Raises:
        SystemExit: it failed; its exit code is ours.
    """
    where = ["--bucket", bucket.url, "--run-id", run_id, "--config", str(file)]
    done = subprocess.run([sys.executable, "-m", "mura_jobs", command, *where, *arguments], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def check_helps(report: Report) -> Iterator[Check]:
    """What must hold where synthetic radiographs are known to be good."""
    yield _firewall(report)
    real = _auroc(report, "real")
    yield "real alone is better than chance", real["value"] > 0.5 and not _at_chance(real), _interval(real)
    lead = report["verdict"]["lead"]
    yield "the verdict is that they help", report["verdict"]["answer"] == "helps", report["answer"]
    yield "the headline says so", report["answer"] == "Yes: they helped", report["answer"]
    low, high = lead["interval"]
    found = f"{lead['effect']:+.3f} ({low:+.3f} to {high:+.3f})"
    yield "the effect's interval lies above 0", low > 0, found
    (control,) = report["control_comparisons"]
    found = f"{control['effect']:+.3f}, p {control['p_holm']:.2g}"
    yield "they help more than as many copies", control["decision"] == "helps", found


def check_nothing(report: Report) -> Iterator[Check]:
    """What must hold where there is nothing to find."""
    yield _firewall(report)
    for arm in report["arms"]:
        score = _auroc(report, arm["arm"])
        yield f"{arm['arm']} is at chance", _at_chance(score), _interval(score)
    yield "there is no evidence", report["verdict"]["answer"] == "no evidence", report["answer"]
    for one in report["comparisons"]:
        low, high = one["interval"]
        found = f"{one['effect']:+.3f} ({low:+.3f} to {high:+.3f})"
        yield f"{one['arm']} decides nothing", one["decision"] == "no evidence", found
    told = report["answer"].startswith(("No evidence", "No: any difference is too small"))
    yield "the headline claims nothing", told, report["answer"]


def _firewall(report: Report) -> Check:
    broken = [check["name"] for check in report["firewall"] if check["status"] == "broken"]
    return "training and test are separate", not broken, ", ".join(broken) or "all checks hold"


def _auroc(report: Report, arm: str) -> Score:
    row = next(row for row in report["arms"] if row["arm"] == arm)
    score: Score = row["study"]["scores"]["auroc"]
    return score


def _at_chance(score: Score) -> bool:
    """Whether the interval holds 0.5; a perfect score has none."""
    return score["low"] is not None and score["low"] < 0.5 < score["high"]


def _interval(score: Score) -> str:
    ends = "no interval" if score["low"] is None else f"{score['low']:.3f} to {score['high']:.3f}"
    return f"study AUROC {score['value']:.3f} ({ends})"


Prepare = Callable[[Bucket, str, Path, Path], None]

CONTROLS: dict[str, tuple[Prepare, Callable[[Report], Iterator[Check]]]] = {
    "helps": (_prepare_helps, check_helps),
    "nothing": (_prepare_nothing, check_nothing),
}

if __name__ == "__main__":
    sys.exit(main())
