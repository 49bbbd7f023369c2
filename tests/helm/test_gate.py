"""Jobs wait for the driver, and hold nothing meanwhile, in whatever way the cluster knows."""

import kubernetes_validate
import pytest
import yaml

from tests.helm.chart import CI_NAMES, ci_values, job_spec, jobs, of_kind, render

UNGATED = ("preflight", "driver")


@pytest.mark.parametrize("name", [name for name in CI_NAMES if name != "argo"])
def test_every_stage_waits_suspended(name: str) -> None:
    for key, job in jobs(render(ci_values(name))).items():
        if key in UNGATED:
            assert key == "preflight" or "suspend" not in job["spec"]
        else:
            assert job["spec"]["suspend"] is True, key
            assert job_spec(job)["parallelism"] >= 1, key


def test_workflows_create_jobs_that_run() -> None:
    """Argo creates a Job when it is due: a suspended one would never run."""
    for job in jobs(render(ci_values("argo"))).values():
        assert "suspend" not in job["spec"]


def test_an_old_cluster_gates_by_parallelism() -> None:
    """Kubernetes 1.20 knows neither suspend, Indexed Jobs nor podFailurePolicy: none of them is rendered."""
    old = ci_values("minikube") | {"kubeVersion": "v1.20.2"}
    old["preprocess"] = {**old["preprocess"], "shards": 1}
    found = jobs(render(old))
    for key, job in found.items():
        spec = job["spec"]
        assert not spec.keys() & {"suspend", "completionMode", "podFailurePolicy", "backoffLimitPerIndex"}
        assert spec["parallelism"] == (1 if key in UNGATED else 0), key
        if key not in UNGATED:
            assert job["metadata"]["annotations"]["mura-jobs/parallelism"] == "1"
    assert {key for key in found if key.startswith("train-cnn-real-seed")} == {
        "train-cnn-real-seed-0",
        "train-cnn-real-seed-1",
    }
    # exit codes mean nothing to this cluster, so that the preflight must not be repeated
    assert found["preflight"]["spec"]["backoffLimit"] == 0


@pytest.mark.parametrize(
    ("version", "known", "unknown"),
    [
        ("1.22.0", {"suspend", "completionMode"}, {"podFailurePolicy", "backoffLimitPerIndex"}),
        ("1.26.0", {"suspend", "completionMode", "podFailurePolicy"}, {"backoffLimitPerIndex"}),
        ("1.29.0", {"suspend", "completionMode", "podFailurePolicy", "backoffLimitPerIndex"}, set()),
        ("1.33.1-eks-7af5e3", {"podFailurePolicy", "backoffLimitPerIndex"}, set()),
    ],
)
def test_fields_are_rendered_from_the_version_on_that_has_them(
    version: str, known: set[str], unknown: set[str]
) -> None:
    spec = jobs(render({"kubeVersion": version}))["preprocess"]["spec"]
    assert known <= spec.keys()
    assert not unknown & spec.keys()
    if version == "1.29.0":
        job = jobs(render({"kubeVersion": version}))["preprocess"]
        kubernetes_validate.validate(job, "1.29", strict=True)


def test_kueue_gets_a_job_when_the_driver_hands_it_over() -> None:
    """Until then it is in a queue that does not exist: Kueue neither admits it nor gives it its default."""
    for key, job in jobs(render(ci_values("kueue"))).items():
        labels, annotations = job["metadata"]["labels"], job["metadata"]["annotations"]
        queue = labels.get("kueue.x-k8s.io/queue-name")
        if key == "driver":
            assert queue is None
        elif key == "preflight":
            assert queue == "radiology"
            assert job["spec"]["suspend"] is True
        else:
            assert queue == "mura-jobs-gate"
            assert annotations["mura-jobs/queue"] == "radiology"
            assert labels["kueue.x-k8s.io/priority-class"] == "batch-low"


def test_with_argo_kueue_gets_a_job_at_once() -> None:
    """Kueue suspends it: a manifest that says so would stop it when the workflow is submitted again."""
    values = ci_values("argo") | {"kueue": {"queueName": "radiology"}}
    for job in jobs(render(values)).values():
        assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "radiology"
        assert "suspend" not in job["spec"]


def test_argo_hears_how_a_job_ended_whatever_conditions_come_first() -> None:
    """A queue's condition Suspended may be the first; a Job has succeeded when all its pods have."""
    manifests = render(ci_values("argo") | {"kueue": {"queueName": "radiology"}})
    (workflow,) = of_kind(manifests, "WorkflowTemplate")
    for template in workflow["spec"]["templates"][1:]:
        resource = template["resource"]
        completions = job_spec(yaml.safe_load(resource["manifest"])).get("completions", 1)
        assert resource["successCondition"] == f"status.succeeded == {completions}"
        failures = resource["failureCondition"].split("),")
        assert [failure.split(" in ")[0] for failure in failures] == [
            "status.conditions.0.type",
            "status.conditions.1.type",
        ]


@pytest.mark.parametrize("name", [name for name in CI_NAMES if name != "argo"])
def test_the_driver_may_patch_its_own_jobs_and_nothing_else(name: str) -> None:
    manifests = render(ci_values(name))
    (role,) = of_kind(manifests, "Role")
    patched = {
        (rule["resources"][0], job)
        for rule in role["rules"]
        if "patch" in rule["verbs"]
        for job in rule["resourceNames"]
    }
    assert patched == {
        (job["kind"].lower() + "s", job["metadata"]["name"])
        for key, job in jobs(manifests).items()
        if key != "driver"
    }
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"list", "watch", "patch"}
    assert of_kind(manifests, "ClusterRole") == of_kind(manifests, "ClusterRoleBinding") == []


def names(values: dict[str, object]) -> dict[str, str]:
    return {key: job["metadata"]["name"] for key, job in jobs(render(values)).items()}


def test_a_changed_job_is_another_job_and_the_others_stay() -> None:
    before = names({})
    after = names({"train-gan": {"config": {"kimg": 100}}})
    changed = {key for key in before if before[key] != after[key]}
    # the driver and the preflight know the whole configuration
    assert changed == {"train-gan-positive", "train-gan-negative", "driver", "preflight"}


def test_another_arm_leaves_the_generators_alone() -> None:
    before = names({"arms": ["real"]})
    after = names({"arms": ["real", "real+synthetic-x0.5"]})
    assert all(before[key] == after[key] for key in before if key not in ("report", "driver", "preflight"))


def test_another_attempt_is_a_new_job_everywhere() -> None:
    before, after = names({}), names({"attempt": 2})
    assert not {before[key] for key in before} & {after[key] for key in after}


def test_what_a_release_is_upgraded_with_is_no_part_of_names() -> None:
    """A chart's version is in labels only, and labels are no part of what is hashed."""
    for job in jobs(render()).values():
        assert "helm.sh/chart" not in job_spec(job)["template"]["metadata"]["labels"]
        assert "app.kubernetes.io/version" not in job_spec(job)["template"]["metadata"]["labels"]
