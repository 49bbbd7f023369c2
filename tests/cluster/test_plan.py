"""What a run would do, and how long that took before."""

from pathlib import Path

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.cluster.plan import Step, look_ahead
from mura_jobs.cluster.record import key, read, record
from mura_jobs.errors import ConfigError
from mura_jobs.job.config import merged
from mura_jobs.stages import RunConfig
from tests.cluster.runs import RUN, RUN_ID, publish
from tests.cluster.test_status import call


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return open_bucket(tmp_path.as_uri())


def changed(**values: object) -> RunConfig:
    return RunConfig.parse(merged(RUN.plain(), values))


def steps(bucket: Bucket, run: RunConfig = RUN) -> dict[str, Step]:
    return {step.place: step for step in look_ahead(bucket, RUN_ID, run)}


def test_what_is_published_is_not_to_do(bucket: Bucket) -> None:
    publish(bucket, "preprocess", wall=7)
    found = steps(bucket)
    assert (found["preprocess"].state, found["preprocess"].seconds) == ("published", 7)
    assert found["train-gan/positive"].state == "to do"
    assert found["train-gan/positive"].missing == ()
    assert found["synthesize/positive"].missing == ("train-gan/positive",)


def test_a_changed_configuration_conflicts_and_names_the_field(bucket: Bucket) -> None:
    publish(bucket, "preprocess")
    step = steps(bucket, changed(preprocess={"resolution": 128}))["preprocess"]
    assert step.state == "conflict"
    assert step.differences == ("resolution: 256 → 128",)


def test_times_come_from_the_run_most_alike_in_proportion_to_its_length(bucket: Bucket) -> None:
    """100 kimg took 1000 s on four devices: 25000 kimg would take 250 times as long."""
    publish(
        bucket,
        "train-gan/positive",
        run=changed(**{"train-gan": {"kimg": 100}}),
        run_id="a",
        wall=1000,
        devices=4,
    )
    publish(
        bucket,
        "train-gan/positive",
        run=changed(**{"train-gan": {"kimg": 1, "mirror": True}}),
        run_id="b",
        wall=1,
    )
    step = steps(bucket)["train-gan/positive"]
    assert (step.seconds, step.example, step.devices) == (250_000, "a", ("GPU",) * 4)


def test_the_command_shows_conflicts(bucket: Bucket, capsys: pytest.CaptureFixture[str]) -> None:
    publish(bucket, "preprocess")
    call("plan", bucket, changed(preprocess={"resolution": 128}))
    assert "resolution: 256 → 128" in capsys.readouterr().out
    call("plan", bucket, output="json")
    assert '"state": "published"' in capsys.readouterr().out


def test_a_recorded_run_may_grow_as_long_as_nothing_published_contradicts_it(bucket: Bucket) -> None:
    record(bucket, RUN_ID, RUN, replace=False)
    publish(bucket, "preprocess")
    grown = changed(seeds=3, **{"train-gan": {"kimg": 5}})
    record(bucket, RUN_ID, grown, replace=False)
    assert read(bucket, RUN_ID) == grown
    with pytest.raises(ConfigError, match=r"preprocess: resolution: 256 → 128[\s\S]*another run id"):
        record(bucket, RUN_ID, changed(preprocess={"resolution": 128}), replace=False)
    assert read(bucket, RUN_ID) == grown
    assert bucket.exists(key(RUN_ID))
