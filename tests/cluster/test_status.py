"""Where a run stands, judged from manifests and event records alone."""

from datetime import timedelta
from pathlib import Path

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.cluster.commands import COMMANDS
from mura_jobs.cluster.record import record
from mura_jobs.cluster.status import Progress, Status, look
from mura_jobs.errors import InputError
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.stage import JobOptions
from mura_jobs.stages import RunConfig
from tests.cluster.runs import NOW, RUN, RUN_ID, publish, tell


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return open_bucket(tmp_path.as_uri())


def status(bucket: Bucket) -> tuple[Status, dict[str, Progress]]:
    found = look(bucket, RUN_ID, RUN, silent_seconds=300, now=NOW)
    return found, {instance.place: instance for instance in found.instances}


def progress(done: float, total: float, eta: float, **fields: object) -> dict[str, object]:
    work = {"work": "training", "unit": "kimg", "done": done, "total": total, "eta_s": eta}
    return {"event": "progress", **work, **fields}


def started(devices: int, **fields: object) -> dict[str, object]:
    return {"event": "started", "devices": ["GPU"] * devices, **fields}


def test_a_run_that_was_only_begun_waits(bucket: Bucket) -> None:
    found, instances = status(bucket)
    assert {instance.state for instance in instances.values()} == {"waiting"}
    assert (found.published, found.device_hours, found.left) == (0, 0.0, (timedelta(0), False))


def test_device_hours_count_every_device_and_attempt(bucket: Bucket) -> None:
    """Two attempts, on 8 devices for an hour and on 4 for half an hour, are ten device-hours."""
    tell(
        bucket,
        "train-gan/positive",
        started(8, attempt=1, ago=9000),
        {"event": "stopped", "attempt": 1, "elapsed_s": 3600.0, "ago": 4000},
        started(4, attempt=2, ago=1900),
        progress(5, 10, 1800.0, attempt=2, elapsed_s=1800.0, ago=10),
    )
    found, instances = status(bucket)
    one = instances["train-gan/positive"]
    assert found.device_hours == 10.0
    assert (one.state, one.share, one.left_seconds) == ("running", 0.5, 1800.0)
    assert one.note == "training: 5 of 10 kimg"


@pytest.mark.parametrize(
    ("line", "state", "note"),
    [
        ({"event": "stopped", "exit_code": 143}, "stopped", "SIGTERM"),
        ({"event": "failed", "exit_code": 65, "error": "no images"}, "failed", "exit 65: no images"),
        ({"event": "checkpoint", "ago": 301}, "silent", "checkpoint"),
        ({"event": "checkpoint", "ago": 299}, "running", "checkpoint"),
    ],
)
def test_the_last_word_of_a_record_is_the_state(
    bucket: Bucket, line: dict[str, object], state: str, note: str
) -> None:
    tell(bucket, "preprocess", started(1, ago=1000), line)
    one = status(bucket)[1]["preprocess"]
    assert one.state == state
    assert note in one.note


def test_the_worst_share_speaks_for_all(bucket: Bucket) -> None:
    tell(bucket, "preprocess", started(1), {"event": "part published", "elapsed_s": 10.0}, index=0)
    tell(bucket, "preprocess", started(1), progress(1, 4, 30.0, elapsed_s=10.0), index=1)
    one = status(bucket)[1]["preprocess"]
    assert (one.state, one.share, one.left_seconds, one.device_seconds) == ("running", 0.25, 30.0, 20.0)
    tell(bucket, "preprocess", started(1), {"event": "failed", "exit_code": 1, "error": "disk"}, index=2)
    assert status(bucket)[1]["preprocess"].state == "failed"


def test_the_time_left_is_that_of_the_longest_way(bucket: Bucket) -> None:
    """It is known when every stage has run before.

    One generator has 100 s to go; synthesis (20 s before) and classifiers (5 s before) come after it; the
    report has never run.
    """
    publish(bucket, "preprocess", wall=7)
    for place, wall in (
        ("train-gan/negative", 50),
        ("synthesize/negative", 20),
        ("train-cnn/real/seed-0", 5),
    ):
        publish(bucket, place, wall=wall)
    tell(bucket, "train-gan/positive", started(1), progress(1, 2, 100.0))
    found, _ = status(bucket)
    assert found.left == (timedelta(seconds=125), False)
    publish(bucket, "report", wall=3)
    assert status(bucket)[0].left == (timedelta(seconds=125), True)


def test_a_finished_run_is_done(bucket: Bucket) -> None:
    for instance in status(bucket)[0].instances:
        publish(bucket, instance.place, wall=36, devices=2)
    found, _ = status(bucket)
    assert found.published == len(found.instances)
    assert found.left == (timedelta(0), True)
    assert found.device_hours == pytest.approx(len(found.instances) * 0.02)


def call(name: str, bucket: Bucket, run: RunConfig = RUN, **config: object) -> None:
    command = next(command for command in COMMANDS if command.name == name)
    options = JobOptions(bucket=bucket.url, run_id=RUN_ID, log="json")
    command.run(command.config_class.parse(config), run, options, Shutdown())


def test_the_command_reads_the_bucket_alone(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    """The run's configuration comes from the bucket, not from the command line."""
    record(bucket, RUN_ID, RUN, replace=False)
    publish(bucket, "preprocess")
    call("status", bucket, RunConfig())
    shown = capsys.readouterr().out
    assert "train-cnn/real+synthetic/seed-1" in shown
    assert "seed-2" not in shown
    assert "1 of 10 published" in shown
    call("status", bucket, RunConfig(), output="json")
    assert '"published": 1' in capsys.readouterr().out


def test_an_unknown_run_names_those_that_are_known(bucket: Bucket) -> None:
    record(bucket, "shoulder", RUN, replace=False)
    with pytest.raises(InputError, match="'mura' was never begun; runs here: shoulder"):
        call("status", bucket)
