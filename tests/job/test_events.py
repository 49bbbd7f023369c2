import json

import pytest

from mura_jobs.bucket.base import Bucket, BucketDenied, BucketError
from mura_jobs.job import events as events_module
from mura_jobs.job.events import Events, record_key

KEY = record_key("r", "stage", 0)


def begin(bucket: Bucket, rank: int = 0) -> Events:
    return Events(bucket, style="json", run="r", instance="stage", rank=rank)


def recorded(bucket: Bucket) -> list[dict[str, object]]:
    return [json.loads(line) for line in bucket.read(KEY).splitlines()]


def test_lines_say_what_happened_where(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    events = begin(bucket)
    events.emit("counts", train=3, name="ü")
    events.close()
    (line,) = recorded(bucket)
    assert json.loads(capsys.readouterr().err) == line
    assert {
        "event": "counts",
        "train": 3,
        "name": "ü",
        "run": "r",
        "instance": "stage",
        "rank": 0,
    }.items() <= line.items()


def test_earlier_attempts_stay_on_record_and_their_time_counts(bucket: Bucket) -> None:
    first = begin(bucket)
    first.emit("started")
    first.close()
    lines = recorded(bucket)
    lines[0]["elapsed_s"] = 100.0
    bucket.write(KEY, json.dumps(lines[0]).encode())
    second = begin(bucket)
    second.emit("started")
    second.close()
    assert [line["attempt"] for line in recorded(bucket)] == [1, 2]
    assert 100 < second.elapsed_seconds < 110


def test_only_rank_0_keeps_the_record_and_knows_the_attempt(
    bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the others know of earlier attempts may be out of date: they say nothing of it."""
    for rank in (0, 1):
        events = begin(bucket, rank)
        events.emit("started")
        events.close()
        assert 0 <= events.elapsed_seconds < 10
    assert len(recorded(bucket)) == 1
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["attempt"] == 1
    assert second["rank"] == 1
    assert "attempt" not in second


def test_finished_work_is_reported_whole(bucket: Bucket) -> None:
    events = begin(bucket)
    with events.progress(3, unit="img", description="cleaning") as bar:
        for _ in range(3):
            bar.advance(1, loss=0.5)
    events.close()
    last = recorded(bucket)[-1]
    assert {
        "event": "progress",
        "work": "cleaning",
        "done": 3,
        "total": 3,
        "loss": 0.5,
        "eta_s": 0.0,
    }.items() <= last.items()


def test_time_left_of_resumed_work_is_judged_from_the_resumption(bucket: Bucket) -> None:
    with begin(bucket).progress(100, unit="img", description="x") as bar:
        bar.start_at(98)
        assert bar.eta_seconds is None
        bar.advance(1)
        assert bar.eta_seconds is not None
        assert bar.eta_seconds < 5


@pytest.mark.parametrize("error", [BucketError, BucketDenied])
def test_a_record_that_the_bucket_does_not_take_at_the_end_is_said_and_hides_nothing(
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: type[BucketError],
) -> None:
    """The exit code of an attempt is that of its own error, such as 143."""

    def fail(*_: object) -> None:
        raise error("away")

    monkeypatch.setattr(type(bucket), "write", fail)
    begin(bucket).close()
    assert "not up to date in the bucket: away" in capsys.readouterr().err


def test_a_bucket_that_is_away_for_a_while_ends_no_work_and_misses_nothing(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But one that refuses to be written to does, before hours are spent on what could not be published."""
    monkeypatch.setattr(events_module, "UPLOAD_SECONDS", 0.0)
    errors: list[type[BucketError]] = [BucketError]
    write = type(bucket).write

    def fail(bucket: Bucket, key: str, data: bytes) -> None:
        if errors:
            raise errors.pop()("away")
        write(bucket, key, data)

    monkeypatch.setattr(type(bucket), "write", fail)
    events = begin(bucket)
    for number in range(3):
        events.emit("counts", number=number)
    assert [line["number"] for line in recorded(bucket)] == [0, 1, 2]
    errors.append(BucketDenied)
    with pytest.raises(BucketDenied):
        events.emit("counts", number=3)
