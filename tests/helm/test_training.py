"""GPUs, processes and nodes of a training."""

from mura_jobs.cluster.config import LaunchConfig
from mura_jobs.job.flags import Parser, add_flags, given
from tests.helm.chart import ci_values, container, job_spec, jobs, of_kind, render, started


def launch(command: list[str]) -> LaunchConfig:
    """What the launcher makes of its own flags in a pod's command."""
    assert command[:5] == ["tini", "--", "python", "-m", "mura_jobs.cluster.launch"]
    parser = Parser()
    add_flags(parser, LaunchConfig, "")
    return LaunchConfig.parse(given(parser.parse_args(command[5 : command.index("--", 5)]), LaunchConfig))


def test_one_process_is_started_without_a_launcher() -> None:
    manifests = render()
    for key in ("preprocess", "train-gan-positive", "report"):
        assert started(jobs(manifests)[key], manifests, 0)[:3] == ["tini", "--", "mura-jobs"]


def test_a_pod_has_a_process_for_each_gpu() -> None:
    manifests = render(ci_values("eight-gpus"))
    job = jobs(manifests)["train-gan-positive"]
    assert container(job)["resources"]["limits"]["nvidia.com/gpu"] == 8
    config = launch(started(job, manifests, 0))
    assert (config.processes, config.nodes, config.main_host) == (8, 1, "localhost")


def test_the_preflight_tries_its_gpus_together() -> None:
    manifests = render({"preflight": {"gpus": 8}})
    command = started(jobs(manifests)["preflight"], manifests, 0)
    assert launch(command).processes == 8
    assert "--gpus=8" in command


def test_nodes_find_the_first_one_by_name() -> None:
    """The host that every node is told is the name that Kubernetes gives the pod of index 0."""
    manifests = render(ci_values("multi-node"))
    job = jobs(manifests)["train-gan-positive"]
    pod = job_spec(job)["template"]
    (service,) = [
        s for s in of_kind(manifests, "Service") if s["metadata"]["name"] == pod["spec"]["subdomain"]
    ]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 2
    assert job["spec"]["completionMode"] == "Indexed"
    for index in range(2):
        config = launch(started(job, manifests, index))
        assert (config.processes, config.nodes, config.node) == (8, 2, index)
        assert config.main_host == f"{job['metadata']['name']}-0.{service['metadata']['name']}"


def test_generators_of_two_labels_do_not_meet() -> None:
    manifests = render(ci_values("multi-node"))
    selectors = [
        tuple(sorted(service["spec"]["selector"].items())) for service in of_kind(manifests, "Service")
    ]
    assert len(set(selectors)) == 2


def test_a_jobset_names_its_own_pods() -> None:
    manifests = render(ci_values("jobset"))
    assert of_kind(manifests, "Service") == []
    jobset = jobs(manifests)["train-gan-positive"]
    name = jobset["metadata"]["name"]
    assert launch(started(jobset, manifests, 1)).main_host == f"{name}-node-0-0.{name}"
    assert jobset["spec"]["replicatedJobs"][0]["name"] == "node"


def test_a_stage_overrides_the_defaults_even_by_zero_and_false() -> None:
    values = {
        "jobDefaults": {"gpus": 2, "hostNetwork": True},
        "preprocess": {"gpus": 0, "hostNetwork": False},
    }
    manifests = render({**values, "synthesize": {"gpus": 1}})
    preprocess = jobs(manifests)["preprocess"]
    assert "nvidia.com/gpu" not in container(preprocess)["resources"]["limits"]
    assert "hostNetwork" not in job_spec(preprocess)["template"]["spec"]
    assert job_spec(jobs(manifests)["report"])["template"]["spec"]["hostNetwork"] is True


def test_settings_of_nccl_and_the_pod_arrive() -> None:
    values = ci_values("restricted")
    values["train-gan"] = {"nccl": {"DEBUG": "INFO", "IB_DISABLE": 1}}
    job = jobs(render(values))["train-gan-positive"]
    pod = job_spec(job)["template"]["spec"]
    env = {variable["name"]: variable.get("value") for variable in container(job)["env"]}
    assert env["NCCL_DEBUG"] == "INFO"
    assert env["NCCL_IB_DISABLE"] == "1"
    assert env["AWS_CA_BUNDLE"] == "/etc/mura-jobs-ca/ca.crt"
    assert pod["priorityClassName"] == "batch-low"
    assert pod["runtimeClassName"] == "gvisor"
    assert pod["nodeSelector"] == {"pool": "batch"}
    assert job["spec"]["activeDeadlineSeconds"] == 259200
    assert job["spec"]["ttlSecondsAfterFinished"] == 604800
    assert container(job)["image"].startswith("radiology/mura-jobs/train-gan@sha256:")
    (shm,) = [volume for volume in pod["volumes"] if volume["name"] == "shm"]
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}
