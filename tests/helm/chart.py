"""Rendering the chart in tests."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
import json
from pathlib import Path
from typing import Any

from helm_python import Chart
import yaml

CHART = Path(__file__).parents[2] / "helm" / "mura-jobs"
CI = sorted((CHART / "ci").glob("*-values.yaml"))
CI_NAMES = [path.name.removesuffix("-values.yaml") for path in CI]
BUCKET = {"bucket": {"url": "s3://mura"}}

Manifest = dict[str, Any]


@cache
def chart() -> Chart:
    return Chart.load(CHART)


def ci_values(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text("utf-8"))
    return values


def render(values: Mapping[str, Any] = BUCKET, **options: Any) -> list[Manifest]:  # noqa: ANN401 - Helm's own
    """All manifests of a release named mura in the namespace lab."""
    return deepcopy(
        _render(json.dumps({**BUCKET, **values}), **({"name": "mura", "namespace": "lab"} | options))
    )


@cache
def _render(values: str, **options: Any) -> list[Manifest]:  # noqa: ANN401 - the same
    """Many tests look at the same release."""
    rendered = chart().render(json.loads(values), **options)
    return [
        document
        for name, text in sorted(rendered.items())
        if name.endswith(".yaml")
        for document in yaml.load_all(text, Loader=yaml.CSafeLoader)
        if document
    ]


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def jobs(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Jobs and JobSets by their key in the run, those that a workflow creates among them."""
    found = of_kind(manifests, "Job") + of_kind(manifests, "JobSet")
    for workflow in of_kind(manifests, "WorkflowTemplate"):
        for template in workflow["spec"]["templates"]:
            if "resource" in template:
                found.append(yaml.safe_load(template["resource"]["manifest"]))
    return {job["metadata"]["labels"]["mura-jobs/job"]: job for job in found}


def job_spec(job: Manifest) -> dict[str, Any]:
    """A Job's spec; of a JobSet, its nodes' Job's."""
    spec: dict[str, Any] = job["spec"]
    return spec["replicatedJobs"][0]["template"]["spec"] if job["kind"] == "JobSet" else spec


def container(job: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = job_spec(job)["template"]["spec"]["containers"][0]
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod that the manifests can make: (name, pod spec)."""
    for key, job in jobs(manifests).items():
        yield key, job_spec(job)["template"]["spec"]
    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]
        if manifest["kind"] == "Pod":
            yield manifest["metadata"]["name"], manifest["spec"]


def started(job: Manifest, manifests: list[Manifest], index: int) -> list[str]:
    """What the kubelet would start in a Job's pod of this index: the container's command, expanded.

    What it does not know stays as it is, as with the kubelet: a pod has an index in an Indexed Job only.
    """
    data = {m["metadata"]["name"]: m["data"] for m in of_kind(manifests, "ConfigMap")}
    stage = container(job)
    indexed = job_spec(job).get("completionMode") == "Indexed"
    values = {"JOB_COMPLETION_INDEX": str(index)} if indexed else {}
    for variable in stage["env"]:
        source = variable.get("valueFrom", {})
        if "configMapKeyRef" in source:
            values[variable["name"]] = data[source["configMapKeyRef"]["name"]][
                source["configMapKeyRef"]["key"]
            ]
        if "fieldRef" in source:
            values[variable["name"]] = job["metadata"]["name"]
    command: list[str] = stage["command"] + stage["args"]
    for name, value in values.items():
        command = [word.replace(f"$({name})", value) for word in command]
    return command


def config_file(job: Manifest, manifests: list[Manifest]) -> str:
    """The configuration file that a Job's pods see."""
    volumes = {v["name"]: v for v in job_spec(job)["template"]["spec"]["volumes"]}
    name = volumes["config"]["configMap"]["name"]
    found: str = next(
        m["data"]["run.yaml"] for m in of_kind(manifests, "ConfigMap") if m["metadata"]["name"] == name
    )
    return found
