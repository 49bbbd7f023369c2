"""The chart's Jobs are the pipeline that mura_jobs.stages describes, and its commands are the CLI's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mura_jobs import cli
from mura_jobs.job.stage import JobOptions, Stage
from mura_jobs.stages import RunConfig, plan
from tests.helm.chart import (
    CI_NAMES,
    Manifest,
    ci_values,
    config_file,
    job_spec,
    jobs,
    of_kind,
    render,
    started,
)

STAGES = ("phantom", "preprocess", "train-gan", "synthesize", "import-grid", "train-cnn", "report")
IMPORTED: Manifest = {"import-grid": {"enabled": True, "config": {"source": "grids/{label}.png"}}}


def whole_run(manifests: list[Manifest]) -> RunConfig:
    """The configuration that the report and the driver are given."""
    name = next(
        m["data"]["run.yaml"]
        for m in of_kind(manifests, "ConfigMap")
        if m["metadata"]["labels"].get("mura-jobs/stage") == "preflight"
    )
    return RunConfig.parse(yaml.safe_load(name))


def places(job: Manifest) -> list[str]:
    found: list[str] = job["metadata"]["annotations"]["mura-jobs/places"].split()
    return found


@pytest.mark.parametrize("name", CI_NAMES)
def test_jobs_publish_what_the_plan_holds(name: str) -> None:
    manifests = render(ci_values(name))
    published = [place for job in jobs(manifests).values() for place in places(job)]
    assert sorted(published) == sorted(instance.place for instance in plan(whole_run(manifests)))


@pytest.mark.parametrize(("name", "more"), [("minikube", {}), ("argo", {}), ("argo", IMPORTED)])
def test_argo_keeps_the_order_of_the_plan(name: str, more: Manifest) -> None:
    """A task depends on exactly the Jobs that publish what its own Job's instances need."""
    manifests = render(ci_values(name) | more | {"orchestration": "argo"})
    found = jobs(manifests)
    publisher = {place: key for key, job in found.items() for place in places(job)}
    needs = {instance.place: instance.stage.needs(instance.config) for instance in plan(whole_run(manifests))}
    (workflow,) = of_kind(manifests, "WorkflowTemplate")
    tasks = {
        task["name"]: task.get("dependencies", [])
        for task in workflow["spec"]["templates"][0]["dag"]["tasks"]
    }
    assert tasks.keys() == found.keys()
    for key, job in found.items():
        wanted = {publisher[need] for place in places(job) for need in needs[place]}
        if key == "preprocess" and "phantom" in found:
            wanted = {"phantom"}
        if not wanted and key != "preflight":
            wanted = {"preflight"}
        assert set(tasks[key]) == wanted, key


def indexes(job: Manifest) -> Iterator[int]:
    yield from range(job_spec(job).get("completions", 1))


@pytest.mark.parametrize(
    ("name", "more"),
    [
        *((name, {}) for name in CI_NAMES),
        ("minikube", {"seeds": 1}),
        ("argo", {"seeds": 1, "conditional": True}),
        ("minikube", IMPORTED),
    ],
)
def test_pods_run_the_instances_of_the_plan(
    name: str, more: Manifest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The CLI takes every pod's command line, expanded as the kubelet does it, and makes the plan's of it."""
    executed: list[tuple[Stage, object, JobOptions]] = []

    def note(stage: Stage, config: object, options: JobOptions, _shutdown: object) -> None:
        executed.append((stage, config, options))

    monkeypatch.setattr(cli, "execute", note)
    manifests = render(ci_values(name) | more)
    run = whole_run(manifests)
    for key, job in jobs(manifests).items():
        stage = job["metadata"]["labels"]["mura-jobs/stage"]
        if stage not in STAGES:
            continue
        file = tmp_path / f"{key}.yaml"
        file.write_text(config_file(job, manifests))
        for index in indexes(job):
            command = started(job, manifests, index)
            words = command[command.index(stage) :]
            words = [word.replace("/etc/mura-jobs/run.yaml", str(file)) for word in words]
            assert cli.main(words) == 0, words
            assert executed[-1][2].run_id == "mura"
            assert executed[-1][2].log == "json"
    found = {(stage.place(config), config) for stage, config, _ in executed}
    assert found == {(instance.place, instance.config) for instance in plan(run)}


def test_imported_radiographs_come_in_the_place_of_generated_ones() -> None:
    """By Jobs of the image that gates images, which has what features need."""
    manifests = render(IMPORTED)
    found = jobs(manifests)
    published = [place for job in found.values() for place in places(job)]
    assert sorted(published) == sorted(instance.place for instance in plan(whole_run(manifests)))
    assert not [key for key in found if key.startswith(("train-gan", "synthesize"))]
    (container,) = job_spec(found["import-grid-positive"])["template"]["spec"]["containers"]
    assert "/synthesize:" in container["image"]


def test_shards_share_all_of_the_work() -> None:
    """Index and count of each pod: all indexes below one count."""
    manifests = render({"preprocess": {"shards": 3}})
    job = jobs(manifests)["preprocess"]
    flags = [
        [word for word in started(job, manifests, index) if word.startswith(("--index", "--count"))]
        for index in indexes(job)
    ]
    assert flags == [[f"--index={index}", "--count=3"] for index in range(3)]


def test_a_stage_that_is_done_elsewhere_leaves_no_gap() -> None:
    """Without preprocess, what needs it waits for the preflight alone; the driver checks its manifest."""
    manifests = render({"preprocess": {"enabled": False}, "orchestration": "argo"})
    (workflow,) = of_kind(manifests, "WorkflowTemplate")
    tasks = {
        task["name"]: task.get("dependencies") for task in workflow["spec"]["templates"][0]["dag"]["tasks"]
    }
    assert "preprocess" not in tasks
    assert tasks["train-gan-positive"] == ["preflight"]
