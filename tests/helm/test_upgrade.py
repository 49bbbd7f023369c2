"""An upgrade sees what runs: it closes no gate that was opened, and replaces no running Job unasked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from tests.cluster.api_server import ApiServer, api_server
from tests.helm.chart import BUCKET, Manifest, chart, jobs, render


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    return tmp_path / "kubeconfig"


@pytest.fixture
def api(kubeconfig: Path) -> Iterator[ApiServer]:
    with api_server(kubeconfig) as server:
        yield server


def install(api: ApiServer, values: dict[str, Any]) -> dict[str, Manifest]:
    found = jobs(render({**values, "kubeVersion": "1.33.0"}))
    for manifest in found.values():
        api.put(manifest)
    return found


def upgrade(kubeconfig: Path, values: dict[str, Any]) -> dict[str, Manifest]:
    """The Jobs as `helm upgrade` renders them, with the live ones looked up."""
    config = helm_python.Config(kubeconfig_path=str(kubeconfig), namespace="lab")
    rendered = config.render(
        chart(), {**BUCKET, **values, "kubeVersion": "1.33.0"}, name="mura", namespace="lab", is_upgrade=True
    )
    documents = [
        document
        for name, text in rendered.items()
        if name.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]
    return jobs(documents)


def open_job(api: ApiServer, manifest: Manifest, **changes: Any) -> None:  # noqa: ANN401 - parts of a manifest
    """As the driver opens it, and the Job controller starts it."""
    live = api.get("Job", manifest["metadata"]["name"])
    live["metadata"]["annotations"]["mura-jobs/opened"] = "now"
    live["spec"]["suspend"] = False
    live["status"] = {"active": 1}
    live["metadata"]["labels"] |= changes.get("labels", {})
    live["spec"] |= changes.get("spec", {})
    api.put(live)


def test_an_open_job_stays_open_and_a_held_one_held(api: ApiServer, kubeconfig: Path) -> None:
    """Helm would otherwise put `suspend: true` back, which ends the pods."""
    found = install(api, {})
    open_job(api, found["preprocess"])
    after = upgrade(kubeconfig, {})
    assert after["preprocess"]["metadata"]["name"] == found["preprocess"]["metadata"]["name"]
    assert after["preprocess"]["spec"]["suspend"] is False
    assert after["train-gan-positive"]["spec"]["suspend"] is True


def test_a_job_in_a_queue_stays_there_whether_it_is_admitted_or_not(api: ApiServer, kubeconfig: Path) -> None:
    values = {"kueue": {"queueName": "radiology"}}
    found = install(api, values)
    queue = {"kueue.x-k8s.io/queue-name": "radiology"}
    open_job(api, found["preprocess"], labels=queue)
    open_job(api, found["train-gan-positive"], labels=queue, spec={"suspend": True})
    after = upgrade(kubeconfig, values)
    for key, suspended in (("preprocess", False), ("train-gan-positive", True)):
        assert after[key]["metadata"]["labels"].items() >= queue.items()
        assert after[key]["spec"]["suspend"] is suspended
    assert after["report"]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "mura-jobs-gate"


def test_replacing_a_running_job_must_be_allowed(api: ApiServer, kubeconfig: Path) -> None:
    found = install(api, {})
    open_job(api, found["train-gan-positive"])
    changed = {"train-gan": {"config": {"kimg": 1}}}
    with pytest.raises(helm_python.HelmError) as refusal:
        upgrade(kubeconfig, changed)
    assert found["train-gan-positive"]["metadata"]["name"] in str(refusal.value)
    assert "--set allowUpgrade=true" in str(refusal.value)
    after = upgrade(kubeconfig, changed | {"allowUpgrade": True})
    assert after["train-gan-positive"]["metadata"]["name"] != found["train-gan-positive"]["metadata"]["name"]
    assert upgrade(kubeconfig, {"report": {"config": {"level": 0.9}}})


def test_a_job_of_another_release_is_none_of_our_business(api: ApiServer, kubeconfig: Path) -> None:
    found = install(api, {})
    other = found["train-gan-positive"]
    other["metadata"]["labels"]["app.kubernetes.io/instance"] = "other"
    api.put(other)
    open_job(api, other)
    assert upgrade(kubeconfig, {"train-gan": {"config": {"kimg": 1}}})


def test_a_running_jobset_is_known_by_its_own_name(api: ApiServer, kubeconfig: Path) -> None:
    """The Job that runs is the set's, under another name: only a changed set is refused."""
    values = {"train-gan": {"nodes": 2, "gpus": 1}, "jobSet": {"enabled": True}}
    jobset = install(api, values)["train-gan-positive"]
    name, labels = jobset["metadata"]["name"], jobset["metadata"]["labels"]
    child = {"name": f"{name}-node-0", "labels": labels | {"jobset.sigs.k8s.io/jobset-name": name}}
    api.put({"apiVersion": "batch/v1", "kind": "Job", "metadata": child, "spec": {}, "status": {"active": 2}})
    upgrade(kubeconfig, values)
    with pytest.raises(helm_python.HelmError, match=f"{name} is running"):
        upgrade(kubeconfig, {**values, "train-gan": {"nodes": 2, "gpus": 1, "config": {"kimg": 1}}})
