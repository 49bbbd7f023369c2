"""What an API server refuses though its schema allows it: rules of Kubernetes' validation, one by one."""

from collections.abc import Callable, Iterator
import copy
import re
from typing import Any

import pytest

from tests.helm.chart import CI_NAMES, Manifest, ci_values, job_spec, jobs, of_kind, render

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""RFC 1123: a pod's name and hostname, a Job's name (it becomes a label)."""
SERVICE = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
"""RFC 1035: a Service's name."""
SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
"""A label's value."""
DATA_KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")
UNITS = {"m": 1e-3, "": 1.0, "k": 1e3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def refusals(manifest: Manifest) -> Iterator[str]:
    """Why an API server would refuse a manifest."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    if not {"Job": LABEL, "JobSet": LABEL, "Service": SERVICE}.get(kind, SUBDOMAIN).fullmatch(name):
        yield f"name {name}"
    yield from _labels(manifest["metadata"])
    if kind == "ConfigMap":
        yield from (f"key {key}" for key in manifest["data"] if not DATA_KEY.fullmatch(key))
    elif kind == "Service":
        yield from _service(manifest["spec"])
    elif kind in ("Job", "JobSet"):
        spec = job_spec(manifest)
        yield from _job(f"{name}-node-0" if kind == "JobSet" else name, spec)
        yield from _policy(spec.get("podFailurePolicy", {}).get("rules", []), spec["template"]["spec"])
        yield from _pod(spec["template"]["spec"])
    elif kind == "Deployment":
        template = manifest["spec"]["template"]
        if not manifest["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items():
            yield "a selector of other pods"
        yield from _pod(template["spec"])
    elif kind == "Pod":
        yield from _pod(manifest["spec"])


def _service(spec: dict[str, Any]) -> Iterator[str]:
    if not spec.get("ports") and spec.get("clusterIP") != "None":
        yield "a service without ports"
    yield from _labels({"labels": spec["selector"]})


def _labels(metadata: Manifest) -> Iterator[str]:
    for key, value in metadata.get("labels", {}).items():
        if not VALUE.fullmatch(value):
            yield f"label {key}={value}"
    for key, value in metadata.get("annotations", {}).items():
        if not isinstance(value, str):
            yield f"annotation {key}"


def _job(name: str, spec: dict[str, Any]) -> Iterator[str]:
    indexed = spec.get("completionMode") == "Indexed"
    if not LABEL.fullmatch(name):
        yield f"label job-name={name}"
    if indexed and "completions" not in spec:
        yield "Indexed without completions"
    if indexed and not LABEL.fullmatch(f"{name}-{spec.get('completions', 1) - 1}"):
        yield "hostname"
    if not indexed and spec.keys() & {"backoffLimitPerIndex", "maxFailedIndexes"}:
        yield "limits of indexes without indexes"
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        yield "maxFailedIndexes without backoffLimitPerIndex"
    yield from _labels(spec["template"]["metadata"])
    if spec["template"]["spec"]["restartPolicy"] not in ("Never", "OnFailure"):
        yield "restartPolicy"


def _policy(rules: list[dict[str, Any]], pod: dict[str, Any]) -> Iterator[str]:
    """What podFailurePolicy must be."""
    if rules and pod["restartPolicy"] != "Never":
        yield "podFailurePolicy with restarts"
    if len(rules) > 20:
        yield "too many rules"
    names = {container["name"] for container in pod["containers"]}
    for rule in rules:
        if len(rule.keys() & {"onExitCodes", "onPodConditions"}) != 1:
            yield "a rule of none or both kinds"
        codes = rule.get("onExitCodes", {"values": [1], "containerName": "stage", "operator": "In"})
        values = codes["values"]
        if values != sorted(set(values)) or not values or (codes["operator"] == "In" and 0 in values):
            yield f"exit codes {values}"
        if codes["containerName"] not in names:
            yield "exit codes of no container"


def _pod(pod: dict[str, Any]) -> Iterator[str]:
    if "subdomain" in pod and not LABEL.fullmatch(pod["subdomain"]):
        yield f"subdomain {pod['subdomain']}"
    volumes = [volume["name"] for volume in pod["volumes"]]
    if len(volumes) != len(set(volumes)):
        yield "volumes of one name"
    for container in pod["containers"]:
        mounts = container["volumeMounts"]
        if {mount["name"] for mount in mounts} - set(volumes):
            yield "a mount of no volume"
        if len({mount["mountPath"] for mount in mounts}) != len(mounts):
            yield "mounts at one path"
        resources = container["resources"]
        for name, limit in resources.get("limits", {}).items():
            request = resources.get("requests", {}).get(name, limit)
            if quantity(request) > quantity(limit) or ("/" in name and request != limit):
                yield f"{name}: asks for more than its limit"


def quantity(text: str | int) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text)).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]


@pytest.mark.parametrize("name", CI_NAMES)
def test_an_api_server_takes_every_manifest(name: str) -> None:
    manifests = render(ci_values(name))
    for manifest in [*manifests, *jobs(manifests).values()]:
        if manifest["kind"] not in ("WorkflowTemplate", "ResourceQuota"):
            assert list(refusals(manifest)) == [], manifest["metadata"]["name"]


def test_the_longest_run_that_is_taken_is_taken_by_the_api_server() -> None:
    """The chart's own limit on names is no looser than Kubernetes'."""
    for extra in ({}, {"train-gan": {"nodes": 2}}, {"train-gan": {"nodes": 2}, "jobSet": {"enabled": True}}):
        taken = 0
        for length in range(1, 41):
            try:
                manifests = render({"run": "r" * length, **extra})
            except Exception as error:  # noqa: BLE001 - Helm's, whose text is looked at
                assert "shorten run" in str(error)  # noqa: PT017
                break
            taken = length
            for manifest in manifests:
                assert list(refusals(manifest)) == []
        assert taken >= 20


def test_each_rule_finds_what_it_should() -> None:
    """Every rule broken on its own is found."""
    manifests = render(ci_values("multi-node"))
    gan, shards = (jobs(manifests)[key] for key in ("train-gan-positive", "preprocess"))
    (service, *_) = of_kind(manifests, "Service")

    def policy(job: Manifest) -> list[dict[str, Any]]:
        rules: list[dict[str, Any]] = job["spec"]["podFailurePolicy"]["rules"]
        return rules

    def pod(job: Manifest) -> dict[str, Any]:
        found: dict[str, Any] = job["spec"]["template"]["spec"]
        return found

    breaks: list[tuple[Manifest, str, Callable[[Manifest], object]]] = [
        (gan, "label job-name", lambda job: job["metadata"].update(name="a" * 64)),
        (gan, "hostname", lambda job: job["metadata"].update(name="a" * 62)),
        (gan, "label team", lambda job: job["metadata"]["labels"].update(team="a b")),
        (gan, "Indexed without", lambda job: job["spec"].pop("completions")),
        (shards, "limits of indexes", lambda job: job["spec"].pop("completionMode")),
        (shards, "maxFailedIndexes", lambda job: job["spec"].pop("backoffLimitPerIndex")),
        (gan, "podFailurePolicy with", lambda job: pod(job).update(restartPolicy="OnFailure")),
        (gan, "exit codes", lambda job: policy(job)[0]["onExitCodes"].update(values=[65, 64])),
        (gan, "exit codes of", lambda job: pod(job)["containers"][0].update(name="other")),
        (gan, "a rule of", lambda job: policy(job)[1].update(onExitCodes=policy(job)[0]["onExitCodes"])),
        (gan, "subdomain", lambda job: pod(job).update(subdomain="a.b")),
        (gan, "a mount of", lambda job: pod(job)["volumes"].pop()),
        (gan, "memory", lambda job: pod(job)["containers"][0]["resources"]["requests"].update(memory="1Ti")),
        (service, "name", lambda found: found["metadata"].update(name="1st")),
        (service, "a service", lambda found: found["spec"].pop("clusterIP")),
    ]
    for manifest, wanted, break_it in breaks:
        broken = copy.deepcopy(manifest)
        break_it(broken)
        assert any(refusal.startswith(wanted) for refusal in refusals(broken)), wanted
