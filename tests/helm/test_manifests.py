"""What the chart renders is valid for Kubernetes, and its pods are restricted."""

from collections.abc import Callable
import copy
import re

import helm_python
import kubernetes_validate
import pytest

from tests.helm.chart import CHART, CI_NAMES, Manifest, ci_values, job_spec, jobs, of_kind, pods, render

CUSTOM = ("WorkflowTemplate", "JobSet")
"""Kinds that Kubernetes itself has no schema of; the Jobs inside are checked."""


@pytest.mark.parametrize(
    ("name", "version"), [*((name, "1.37") for name in CI_NAMES), ("restricted", "1.29"), ("kueue", "1.33")]
)
def test_every_manifest_fits_kubernetes_own_schema(name: str, version: str) -> None:
    manifests = render(ci_values(name))
    for manifest in [m for m in manifests if m["kind"] not in CUSTOM]:
        kubernetes_validate.validate(manifest, version, strict=True)
    for job in jobs(manifests).values():
        plain = {"apiVersion": "batch/v1", "kind": "Job", "metadata": job["metadata"], "spec": job_spec(job)}
        kubernetes_validate.validate(plain, version, strict=True)


@pytest.mark.parametrize("name", CI_NAMES)
def test_lint_finds_nothing(name: str) -> None:
    report = helm_python.lint(CHART, ci_values(name), strict=True, namespace="lab")
    # an icon is all that lint may miss
    assert [m["error"] for m in report["messages"] if "icon" not in m["error"]] == []
    assert report["errors"] == []


def faults(pod: Manifest) -> list[str]:
    """What Pod Security's level "restricted" would refuse (its controls, one by one)."""
    found = [f"host{space}" for space in ("Network", "PID", "IPC") if pod.get(f"host{space}")]
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    for volume in pod.get("volumes", []):
        found += [f"volume {volume['name']}" for kind in volume.keys() - {"name"} - allowed if kind]
    whole = pod.get("securityContext", {})
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        name = container["name"]
        for field, wanted in (("runAsNonRoot", True), ("seccompProfile", {"type": "RuntimeDefault"})):
            if own.get(field, whole.get(field)) != wanted:
                found.append(f"{name}: {field}")
        if own.get("runAsUser", whole.get("runAsUser")) == 0:
            found.append(f"{name}: runAsUser")
        if own.get("allowPrivilegeEscalation") is not False:
            found.append(f"{name}: allowPrivilegeEscalation")
        if own.get("privileged"):
            found.append(f"{name}: privileged")
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            found.append(f"{name}: capabilities")
        found += [f"{name}: hostPort" for port in container.get("ports", []) if port.get("hostPort")]
    return found


@pytest.mark.parametrize("name", CI_NAMES)
def test_pods_are_restricted_and_more(name: str) -> None:
    """Pod Security's "restricted", a read-only root, no service links and no token but the driver's."""
    for key, pod in pods(render(ci_values(name))):
        assert faults(pod) == [], key
        assert all(c["securityContext"]["readOnlyRootFilesystem"] for c in pod["containers"]), key
        assert pod["enableServiceLinks"] is False, key
        assert pod["automountServiceAccountToken"] is (key == "driver"), key
        assert all("memory" in c["resources"]["limits"] for c in pod["containers"]), key


def test_the_check_of_restricted_pods_finds_what_it_should() -> None:
    """Each control broken on its own is found."""
    _, sound = next(pods(render()))
    breaks: dict[str, Callable[[Manifest], object]] = {
        "hostNetwork": lambda pod: pod.update(hostNetwork=True),
        "volume": lambda pod: pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        "runAsNonRoot": lambda pod: pod["securityContext"].update(runAsNonRoot=False),
        "seccompProfile": lambda pod: pod["securityContext"].pop("seccompProfile"),
        "runAsUser": lambda pod: pod["securityContext"].update(runAsUser=0),
        "allowPrivilegeEscalation": lambda pod: pod["containers"][0]["securityContext"].pop(
            "allowPrivilegeEscalation"
        ),
        "capabilities": lambda pod: pod["containers"][0]["securityContext"]["capabilities"].update(
            add=["SYS_ADMIN"]
        ),
        "hostPort": lambda pod: pod["containers"][0].update(ports=[{"hostPort": 1}]),
    }
    for name, break_it in breaks.items():
        pod = copy.deepcopy(sound)
        break_it(pod)
        assert len(faults(pod)) == 1, name
        assert name in faults(pod)[0]


def test_names_are_unique_and_labelled() -> None:
    for name in CI_NAMES:
        manifests = render(ci_values(name))
        names = [(m["kind"], m["metadata"]["name"]) for m in manifests]
        assert len(names) == len(set(names))
        for manifest in manifests:
            if manifest["kind"] != "ResourceQuota":  # an extra manifest, the user's own
                assert manifest["metadata"]["labels"]["mura-jobs/run"] == "mura"


CORES = re.compile(r"([0-9.]+)(m?)")
NODE_MILLICORES, NODE_MIB = 2000, 8192
OF_THE_CLUSTER = 900, 800
"""Millicores and MiB that minikube's own pods ask for."""


def test_the_demonstration_fits_the_node_that_make_minikube_up_starts() -> None:
    """What may run at the same time asks for no more than is left: a pod that does not fit waits for ever."""
    manifests = render(ci_values("minikube"))
    asked = []
    for key, pod in pods(manifests):
        requests = pod["containers"][0]["resources"]["requests"]
        number, milli = CORES.fullmatch(requests["cpu"]).groups()  # type: ignore[union-attr]
        memory = int(requests["memory"].removesuffix("Mi"))
        parallelism = jobs(manifests)[key]["spec"]["parallelism"] if key in jobs(manifests) else 1
        asked.append((parallelism * float(number) * (1 if milli else 1000), parallelism * memory))
    # as if all stages ran at once
    assert sum(cores for cores, _ in asked) <= NODE_MILLICORES - OF_THE_CLUSTER[0]
    assert sum(memory for _, memory in asked) <= NODE_MIB - OF_THE_CLUSTER[1]


def test_every_port_says_its_protocol() -> None:
    """Server-side apply of older API servers wants the key of the list whole."""
    for name in CI_NAMES:
        for service in of_kind(render(ci_values(name)), "Service"):
            assert all(port["protocol"] == "TCP" for port in service["spec"].get("ports", []))


def test_the_development_bucket_is_made_before_it_is_served() -> None:
    """Who asks too early must find no server rather than no bucket, which is a wrong configuration (64)."""
    (deployment,) = of_kind(render(ci_values("minikube")), "Deployment")
    (script,) = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    lines = [line for line in script.splitlines() if not line.startswith("#")]
    assert "-ip.bind=127.0.0.1" in lines[0]
    assert "-s3" not in lines[0]
    assert "s3.bucket.create -name mura-jobs" in "".join(lines[1:-1])
    assert lines[-1].startswith("exec weed s3 ")
