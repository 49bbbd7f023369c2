"""What a Job does when its pods end: exit codes, retries and the time to stop in good order."""

import pytest

from mura_jobs.errors import ConfigError, InputError, Stopped
from tests.helm.chart import CI_NAMES, ci_values, container, job_spec, jobs, render


@pytest.mark.parametrize("name", CI_NAMES)
def test_exit_codes_decide(name: str) -> None:
    """Wrong configuration and unusable input end the Job; evictions and SIGTERM are not counted."""
    for job in jobs(render(ci_values(name))).values():
        spec = job_spec(job)
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        rules = spec["podFailurePolicy"]["rules"]
        fail = [rule for rule in rules if rule["action"] == "FailJob"]
        ignore = [rule for rule in rules if rule["action"] == "Ignore"]
        assert [rule["onExitCodes"]["values"] for rule in fail] == [
            [ConfigError.exit_code, InputError.exit_code]
        ]
        assert [rule["onExitCodes"]["values"] for rule in ignore if "onExitCodes" in rule] == [
            [Stopped.exit_code]
        ]
        assert {"type": "DisruptionTarget", "status": "True"} in ignore[0]["onPodConditions"]
        # a sidecar's exit code says nothing about the stage
        containers = {rule["onExitCodes"]["containerName"] for rule in rules if "onExitCodes" in rule}
        assert containers == {container(job)["name"]}


@pytest.mark.parametrize("name", CI_NAMES)
@pytest.mark.parametrize("checkpoint", [5, 60, 3600])
def test_a_checkpoint_fits_before_torchrun_kills_and_torchrun_before_the_pod(
    name: str, checkpoint: int
) -> None:
    values = ci_values(name)
    values["train-gan"] = {**values.get("train-gan", {}), "checkpointSeconds": checkpoint}
    for key in ("train-gan-positive", "train-gan-negative"):
        job = jobs(render(values))[key]
        grace = job_spec(job)["template"]["spec"]["terminationGracePeriodSeconds"]
        waits = [word for word in container(job)["args"] if word.startswith("--stop-seconds=")]
        torchrun = int(waits[0].partition("=")[2]) if waits else checkpoint + 1
        assert checkpoint < torchrun < grace
        # torchrun's SIGKILL, and the publishing of the record, take a moment
        assert grace - torchrun >= 10


def test_shards_fail_together_and_seeds_alone() -> None:
    found = jobs(render())
    shards, seeds = found["preprocess"]["spec"], found["train-cnn-real"]["spec"]
    assert (shards["backoffLimitPerIndex"], shards["maxFailedIndexes"]) == (3, 0)
    assert seeds["backoffLimitPerIndex"] == 3
    assert "maxFailedIndexes" not in seeds
    assert "backoffLimit" not in shards.keys() | seeds.keys()


def test_nodes_that_fail_together_count_once_each() -> None:
    """When one node fails the others follow, so that one failure costs as many pods as there are nodes."""
    spec = jobs(render(ci_values("multi-node")))["train-gan-positive"]["spec"]
    assert spec["backoffLimit"] == 6 * 2
    assert "backoffLimitPerIndex" not in spec


def test_a_jobset_restarts_all_nodes_and_gives_up_on_exit_codes() -> None:
    jobset = jobs(render(ci_values("jobset")))["train-gan-positive"]
    assert jobset["spec"]["failurePolicy"]["maxRestarts"] == 6
    assert jobset["spec"]["failurePolicy"]["rules"] == [
        {"action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}
    ]
    assert job_spec(jobset)["backoffLimit"] == 0


def test_what_ended_is_removed_as_a_whole() -> None:
    """The JobSet goes, not the Job inside it; and a set that changed is another set."""
    values = ci_values("jobset") | {"jobDefaults": {"ttlSeconds": 600}}
    jobset = jobs(render(values))["train-gan-positive"]
    assert jobset["spec"]["ttlSecondsAfterFinished"] == 600
    assert "ttlSecondsAfterFinished" not in job_spec(jobset)
    before = jobs(render(ci_values("jobset")))["train-gan-positive"]
    assert jobset["metadata"]["name"] != before["metadata"]["name"]


def test_the_driver_has_as_long_as_the_run_takes() -> None:
    """A stage's deadline is not that of the pod that waits for all stages."""
    found = jobs(render({"jobDefaults": {"deadlineSeconds": 600}}))
    assert found["report"]["spec"]["activeDeadlineSeconds"] == 600
    assert "activeDeadlineSeconds" not in found["driver"]["spec"]
    own = jobs(render({"driver": {"deadlineSeconds": 900}}))
    assert own["driver"]["spec"]["activeDeadlineSeconds"] == 900
