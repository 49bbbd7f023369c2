"""Kill a run in the middle of every stage, run it again: the same result."""

from collections.abc import Iterator
import json
from pathlib import Path
import signal
import subprocess
import time

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.job.randomness import numpy_stream
from tests.pipeline.runs import command, results, run

pytestmark = pytest.mark.faults

STAGES = ["raw/phantom", "preprocess", "train-gan", "synthesize", "train-cnn", "report"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    url = tmp_path_factory.mktemp("undisturbed").as_uri()
    done = run(url)
    assert done.returncode == 0, done.stderr
    return results(open_bucket(url))


def instances_started(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stderr is not None
    for line in process.stderr:
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "started":
            yield event["instance"]


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_killed_in_every_stage_and_run_again_gives_the_same(
    tmp_path: Path, undisturbed: dict[str, object], signal_number: signal.Signals
) -> None:
    url = tmp_path.as_uri()
    delays = numpy_stream(0, "kill", signal_number.name)
    for stage in STAGES:
        process = subprocess.Popen(command(url), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for instance in instances_started(process):
            if instance.startswith(stage):
                time.sleep(delays.uniform(0, 0.6))
                process.send_signal(signal_number)
                break
        process.communicate(timeout=120)
        assert process.returncode in (0, -signal.SIGKILL, 143), stage
    done = run(url)
    assert done.returncode == 0, done.stderr
    assert results(open_bucket(url)) == undisturbed
