"""The chart's Jobs run by podman as a kubelet would run their pods: same command, user, limits, volumes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
import subprocess
import tempfile
import time
from typing import Any

from tests.helm.chart import Manifest, config_file, container, job_spec, started


@dataclass(frozen=True)
class Ran:
    """A container that ended."""

    name: str
    code: int
    seconds: float
    log: str


@dataclass
class Engine:
    """Runs pods of Jobs with podman."""

    repository: str
    """Where the images lie here, in place of the chart's."""
    environment: Mapping[str, str]
    """What the Secret would give them."""
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="mura-jobs-containers-")))

    def command(self, job: Manifest, manifests: list[Manifest], index: int) -> list[str]:
        """The `podman run` of one pod of a Job."""
        name = f"{job['metadata']['name']}-{index}"
        file = self.folder / f"{name}.yaml"
        file.write_text(config_file(job, manifests))
        file.chmod(0o644)
        pod, stage = job_spec(job)["template"]["spec"], container(job)
        security = pod["securityContext"]
        flags = [
            "--rm",
            f"--name={name}",
            "--network=host",
            f"--user={security['runAsUser']}:{security['runAsGroup']}",
        ]
        if stage["securityContext"]["readOnlyRootFilesystem"]:
            flags += ["--read-only", "--read-only-tmpfs=false"]
        if not stage["securityContext"]["allowPrivilegeEscalation"]:
            flags.append("--security-opt=no-new-privileges")
        flags += [f"--cap-drop={name}" for name in stage["securityContext"]["capabilities"]["drop"]]
        flags.append(f"--memory={_podman_size(stage['resources']['limits']['memory'])}")
        flags += [f"--stop-timeout={pod['terminationGracePeriodSeconds']}"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for mount in stage["volumeMounts"]:
            empty = volumes[mount["name"]].get("emptyDir")
            if mount["mountPath"] == "/dev/shm":  # noqa: S108 - the shared memory itself
                flags.append(f"--shm-size={_podman_size(empty['sizeLimit'])}")
            elif empty is not None:
                owner = f"mode=1777,size={_podman_size(empty['sizeLimit'])}"
                flags.append(f"--tmpfs={mount['mountPath']}:rw,{owner}")
            else:
                flags.append(f"--volume={file}:{mount['mountPath']}/run.yaml:ro")
        flags += [f"--env={key}={value}" for key, value in self.environment.items()]
        entrypoint, *words = started(job, manifests, index)
        # the nodes of a training are on this machine
        hosts = [word.partition("=")[2] for word in words if word.startswith("--main-host=")]
        flags += [f"--add-host={host}:127.0.0.1" for host in hosts]
        image = f"{self.repository}/{stage['image'].rpartition('/')[2]}"
        return ["podman", "run", *flags, f"--entrypoint={entrypoint}", image, *words]

    def run(self, job: Manifest, manifests: list[Manifest], indexes: Sequence[int]) -> list[Ran]:
        """Run the pods of these indexes at the same time, and wait for all of them."""
        begin = time.monotonic()
        logs = {index: self.folder / f"{job['metadata']['name']}-{index}.log" for index in indexes}
        running: dict[int, subprocess.Popen[Any]] = {}
        for index in indexes:
            with logs[index].open("wb") as log:
                command = self.command(job, manifests, index)
                running[index] = subprocess.Popen(command, stdout=log, stderr=log)
        return [
            Ran(
                f"{job['metadata']['labels']['mura-jobs/job']}-{index}",
                process.wait(),
                time.monotonic() - begin,
                logs[index].read_text(errors="replace"),
            )
            for index, process in running.items()
        ]


def _podman_size(quantity: str) -> str:
    """Kubernetes says 2Gi, podman 2g, and both mean 2^31 bytes."""
    return quantity.removesuffix("i").lower()
