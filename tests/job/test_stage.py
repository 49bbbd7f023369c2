from dataclasses import replace
import json

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.errors import ConfigError, Stopped
from mura_jobs.job.artifact import Artifact, ArtifactMissing
from mura_jobs.job.config import Config
from mura_jobs.job.job import Job
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.stage import JobOptions, Stage, execute


class CopyConfig(Config):
    text: str = "hello"


RUNS: list[str] = []


def copy(config: CopyConfig, job: Job) -> None:
    RUNS.append(config.text)
    job.shutdown.check()
    inputs = b"".join(artifact.read("text") for artifact in job.inputs.values())
    job.output.put("text", inputs + config.text.encode())
    job.output.publish({})


FIRST = Stage("first", "write a text", CopyConfig, copy, place=lambda _: "first", needs=lambda _: ())
SECOND = Stage(
    "second", "append to it", CopyConfig, copy, place=lambda _: "second", needs=lambda _: ("first",)
)


@pytest.fixture
def options(bucket_url: str) -> JobOptions:
    RUNS.clear()
    return JobOptions(bucket=bucket_url, run_id="r", log="json")


def test_a_stage_reads_what_the_earlier_one_published(options: JobOptions) -> None:
    assert execute(FIRST, CopyConfig(), options, Shutdown()) == "published"
    assert execute(SECOND, CopyConfig(text=" world"), options, Shutdown()) == "published"
    assert Artifact.open(open_bucket(options.bucket), "runs/r/second").read("text") == b"hello world"


def test_a_rerun_touches_nothing(options: JobOptions) -> None:
    execute(FIRST, CopyConfig(), options, Shutdown())
    manifest = open_bucket(options.bucket).read("runs/r/first/manifest.json")
    assert execute(FIRST, CopyConfig(), options, Shutdown()) == "already published"
    assert RUNS == ["hello"]
    assert open_bucket(options.bucket).read("runs/r/first/manifest.json") == manifest


def test_another_configuration_is_refused_before_any_work(options: JobOptions) -> None:
    execute(FIRST, CopyConfig(), options, Shutdown())
    with pytest.raises(ConfigError, match='text: "hello" → "other"'):
        execute(FIRST, CopyConfig(text="other"), options, Shutdown())
    assert RUNS == ["hello"]


def test_a_changed_input_is_refused(options: JobOptions) -> None:
    execute(FIRST, CopyConfig(), options, Shutdown())
    execute(SECOND, CopyConfig(), options, Shutdown())
    anyway = JobOptions.parse(options.plain() | {"replace": True})
    execute(FIRST, CopyConfig(text="other"), anyway, Shutdown())
    with pytest.raises(ConfigError, match="input first"):
        execute(SECOND, CopyConfig(), options, Shutdown())
    assert execute(SECOND, CopyConfig(), anyway, Shutdown()) == "published"


def test_a_missing_input_is_named(options: JobOptions) -> None:
    with pytest.raises(ArtifactMissing, match="runs/r/first; run its stage first"):
        execute(SECOND, CopyConfig(), options, Shutdown())


def test_a_stopped_stage_publishes_nothing_and_is_on_record(options: JobOptions) -> None:
    shutdown = Shutdown()
    shutdown.requested = True
    with pytest.raises(Stopped) as caught:
        execute(FIRST, CopyConfig(), options, shutdown)
    assert caught.value.exit_code == 143
    bucket = open_bucket(options.bucket)
    assert not bucket.exists("runs/r/first/manifest.json")
    assert b'"stopped"' in bucket.read("runs/r/events/first-0.jsonl")


def test_a_share_says_which_it_is(options: JobOptions) -> None:
    """Its pod's log and its record carry its index."""
    share = JobOptions.parse(options.plain() | {"index": 1, "count": 2})
    shutdown = Shutdown()
    shutdown.requested = True
    with pytest.raises(Stopped):
        execute(FIRST, CopyConfig(), share, shutdown)
    lines = open_bucket(options.bucket).read("runs/r/events/first-1.jsonl").splitlines()
    assert {json.loads(line)["index"] for line in lines} == {1}


def test_an_index_outside_the_count_is_refused() -> None:
    with pytest.raises(ConfigError, match="index 2 must be below count 2"):
        JobOptions.parse({"bucket": "file:///x", "run_id": "r", "index": 2, "count": 2})


def test_shares_can_not_discard_each_other() -> None:
    with pytest.raises(ConfigError, match="shares would discard each other's parts"):
        JobOptions.parse({"bucket": "file:///x", "run_id": "r", "count": 2, "replace": True})


@pytest.mark.parametrize("run_id", ["", "A", "a/b", "-a", "../x", "a" * 64])
def test_a_run_id_that_could_not_name_a_job_is_refused(run_id: str) -> None:
    with pytest.raises(ConfigError, match="run_id"):
        JobOptions.parse({"bucket": "file:///x", "run_id": run_id})


def test_a_rerun_clears_what_an_attempt_killed_right_after_it_published_left(options: JobOptions) -> None:
    execute(FIRST, CopyConfig(), options, Shutdown())
    bucket = open_bucket(options.bucket)
    bucket.write("runs/r/first/checkpoints/step-1/manifest.json", b"{}")
    bucket.write("runs/r/first/parts/00000-of-00001/manifest.json", b"{}")
    before = {entry.key for entry in bucket.list("runs/r/first/") if entry.key.count("/") == 3}
    assert execute(FIRST, CopyConfig(), options, Shutdown()) == "already published"
    assert {entry.key for entry in bucket.list("runs/r/first/")} == before


def test_two_configurations_at_once_do_not_write_over_each_other(options: JobOptions) -> None:
    """Where objects have plain names: whoever comes second is refused before it writes."""
    stage = replace(FIRST, plain_names=True)

    def outrun(config: CopyConfig, job: Job) -> None:
        with pytest.raises(ConfigError, match='text: "hello" → "other"'):
            execute(stage, CopyConfig(text="other"), options, Shutdown())
        copy(config, job)

    assert execute(replace(stage, run=outrun), CopyConfig(), options, Shutdown()) == "published"
    bucket = open_bucket(options.bucket)
    assert Artifact.open(bucket, "runs/r/first").read("text") == b"hello"
    assert [entry.key for entry in bucket.list("runs/r/first/")] == [
        "runs/r/first/manifest.json",
        "runs/r/first/text",
    ]


def test_a_claim_of_a_killed_attempt_holds_until_it_is_replaced(options: JobOptions) -> None:
    """The same configuration goes on; another one must say that it means to."""
    stage = replace(FIRST, plain_names=True)

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        execute(replace(stage, run=die), CopyConfig(), options, Shutdown())
    with pytest.raises(ConfigError, match="--replace to discard"):
        execute(stage, CopyConfig(text="other"), options, Shutdown())
    anyway = JobOptions.parse(options.plain() | {"replace": True})
    assert execute(stage, CopyConfig(text="other"), anyway, Shutdown()) == "published"
