"""A long training that is killed at random: `python -m tests.faults.long_run FOLDER --config RUN.yaml`.

A whole run of RUN.yaml goes into FOLDER/bucket, a `file://` bucket, and is started again after each kill: in
turn SIGKILL to everything at once, as when a node is lost, and SIGTERM to the run. FOLDER/samples.csv gets,
twice a minute and per process, its memory, open files and threads, and how many files lie in the scratch
folder; a training's own lines are in FOLDER/log.jsonl.

At the end it prints, and exits 1 unless it holds:

- a trained generator's metrics have one line for every tick, each once and in order: no gap, no step back;
- within one life, memory and open files of a training don't grow after its first quarter of an hour;
- nothing is left in the scratch folder, and nothing in the bucket but what manifests list.
"""

import argparse
from collections.abc import Iterator
import csv
from dataclasses import asdict, dataclass
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import yaml

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Artifact
from mura_jobs.job.randomness import numpy_stream
from tests.pipeline.runs import digests

RUN = "long"
EVERY = 30.0
"""Seconds from one sample to the next."""
WARM_UP = 900.0
"""Seconds of a life after which it has what it needs: two files are opened once, at the first snapshot."""
LONG_ENOUGH = 1200.0
"""Seconds after that which a life must have to show whether something grows."""
GROWTH_LIMIT = 0.05
"""Share by which a process's memory may grow in an hour and count as steady."""


@dataclass
class Sample:
    """What one process holds at one time."""

    seconds: float
    """Since the first start."""
    life: int
    """How often the run was started before."""
    pid: int
    what: str
    """The instance: `train-gan positive`."""
    mebibytes: float
    """Resident, of its own: not those of files, which the system takes away and gives back."""
    handles: int
    threads: int
    scratch_files: int


def main() -> int:
    """Run, kill, check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path, required=True, help="run file; raw data may be in the bucket")
    parser.add_argument("--hours", type=float, default=2.0, help="over which kills are spread (2)")
    parser.add_argument("--kills", type=int, default=10, help="how many (10)")
    parser.add_argument("--workers", type=int, default=2, help="stage instances at a time (2)")
    options = parser.parse_args()
    scratch, place = options.folder / "scratch", options.folder / "bucket"
    for folder in (scratch, place):
        folder.mkdir(parents=True, exist_ok=True)
    bucket = open_bucket(place.absolute().as_uri())
    command = [sys.executable, "-m", "mura_jobs", "run", "--bucket", bucket.url, "--run-id", RUN]
    command += ["--config", str(options.config), "--workers", str(options.workers), "--log", "json"]
    samples = list(disturb([*command, "--scratch", str(scratch)], options, scratch))
    faults = [*gaps(bucket, options.config), *growth(samples), *litter(bucket, scratch)]
    print("\n".join(faults or ["nothing lost, nothing grown, nothing left behind"]))
    return bool(faults)


def disturb(command: list[str], options: argparse.Namespace, scratch: Path) -> Iterator[Sample]:
    """Run `command` until it ends by itself, and kill it on the way; what its processes held."""
    begin = time.monotonic()
    moments = np.sort(numpy_stream(0, "long run").uniform(0, options.hours * 3600, options.kills)).tolist()
    with (
        (options.folder / "log.jsonl").open("a") as log,
        (options.folder / "samples.csv").open("w", newline="") as table,
    ):
        writer = csv.DictWriter(table, list(Sample.__annotations__))
        writer.writeheader()
        for life in range(options.kills + 1):
            process = subprocess.Popen(command, stderr=log, start_new_session=True)
            until = moments[life] if life < options.kills else float("inf")
            while process.poll() is None and time.monotonic() - begin < until:
                time.sleep(min(EVERY, max(0.0, until - (time.monotonic() - begin))))
                for sample in look(process.pid, time.monotonic() - begin, life, scratch):
                    writer.writerow(asdict(sample))
                    yield sample
                table.flush()
            if process.poll() is not None:
                assert process.returncode == 0, f"exit code {process.returncode}; see log.jsonl"
                return
            number = signal.SIGTERM if life % 2 else signal.SIGKILL
            print(f"{(time.monotonic() - begin) / 60:6.1f} min  {number.name}", flush=True)
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.terminate()
            process.wait()


def look(session: int, seconds: float, life: int, scratch: Path) -> Iterator[Sample]:
    """What every stage process of the session holds now."""
    files = sum(path.is_file() for path in scratch.rglob("*"))
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or os.getsid(int(entry.name)) != session:
                continue
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines())
            handles = len(list((entry / "fd").iterdir()))
        except (ProcessLookupError, FileNotFoundError):
            continue  # it ended meanwhile
        if "RssAnon" not in status or "mura_jobs" not in words:
            continue
        which = [words[words.index("--label") + 1]] if "--label" in words else []
        what = " ".join([words[words.index("mura_jobs") + 1], *which])
        memory = int(status["RssAnon"].split()[0]) / 1024
        yield Sample(seconds, life, int(entry.name), what, memory, handles, int(status["Threads"]), files)


def gaps(bucket: Bucket, config: Path) -> Iterator[str]:
    """Ticks that a trained generator's metrics lack, or have twice."""
    tick = yaml.safe_load(config.read_text("utf-8"))["train-gan"]["tick_kimg"]
    for prefix in digests(bucket):
        if "/train-gan/" not in prefix:
            continue
        lines = Artifact.open(bucket, prefix).read("metrics.jsonl").decode().splitlines()
        ticks = [int(round(json.loads(line)["kimg"] * 1000) // (tick * 1000)) for line in lines]
        print(f"{prefix}: {len(ticks)} ticks")
        if ticks[:-1] != list(range(1, len(ticks))):
            yield f"{prefix}: ticks {ticks} instead of 1, 2, 3 …"


def growth(samples: list[Sample]) -> Iterator[str]:
    """Trainings whose memory or open files grew within a life."""
    lives = pd.DataFrame(map(asdict, samples)).groupby(["what", "life"])
    for what, life in sorted({(sample.what, sample.life) for sample in samples}):
        held = lives.get_group((what, life))
        steady = held[held["seconds"] > held["seconds"].min() + WARM_UP]
        if not what.startswith("train-gan") or len(steady) * EVERY < LONG_ENOUGH:
            continue
        slope = np.polyfit(steady["seconds"] / 3600, steady["mebibytes"], 1)[0] / steady["mebibytes"].mean()
        handles = steady["handles"].iloc[-5:].median() - steady["handles"].iloc[:5].median()
        print(
            f"{what}, life {life}: {steady['mebibytes'].median():.0f} MiB, {100 * slope:+.1f}% an hour; "
            f"{steady['handles'].median():.0f} handles, {handles:+.0f}; {steady['threads'].max()} threads"
        )
        if slope > GROWTH_LIMIT:
            yield f"{what}, life {life}: memory grew by {100 * slope:.1f}% an hour"
        if handles > 0:
            yield f"{what}, life {life}: {handles:.0f} more open files at the end than at the start"


def litter(bucket: Bucket, scratch: Path) -> Iterator[str]:
    """What lies about that nothing names."""
    left = [str(path.relative_to(scratch)) for path in scratch.rglob("*") if path.is_file()]
    if left:
        yield f"scratch: {len(left)} files left, such as {left[0]}"
    prefixes = digests(bucket)
    named = {f"{prefix}/manifest.json" for prefix in prefixes}
    for prefix in prefixes:
        named |= {
            f"{prefix}/{stored.key}" for stored in Artifact.open(bucket, prefix).manifest.objects.values()
        }
    for entry in bucket.list(f"runs/{RUN}/"):
        if entry.key not in named and not entry.key.startswith(
            (f"runs/{RUN}/events/", f"runs/{RUN}/run.json")
        ):
            yield f"bucket: {entry.key} is in no manifest"


if __name__ == "__main__":
    sys.exit(main())
