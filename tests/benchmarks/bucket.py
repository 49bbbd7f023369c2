"""How fast the bucket is, beside a plain boto3 loop and what server and loopback allow at all.

    python -m tests.benchmarks.bucket
    python -m tests.benchmarks.bucket --megabytes 256 --objects 1000 --repetitions 2

A real SeaweedFS in memory (/dev/shm, where there is one) serves both in turn, one repetition after the other.
The plain loop is boto3's `upload_file` and `download_file` with their defaults for a large object, and
`put_object` and `get_object` one after the other on one client for small ones. Beside them:

- `server`: requests signed beforehand, sent over raw sockets by twice as many processes as there are cores:
  what this server can do when the client costs next to nothing. A large object goes as a hundred small ones.
- `loopback`: bytes from one process to another through a socket.

Ratios are medians over the repetitions; client and server share the machine, so each line gives the processor
time of both. The machine should do nothing else.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import multiprocessing
from multiprocessing.synchronize import Barrier
import os
from pathlib import Path
import re
import resource
import shutil
import socket
from statistics import median
import subprocess
import sys
import tempfile
from time import perf_counter, process_time
from typing import TYPE_CHECKING

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
import numpy as np

from mura_jobs.bucket import open_bucket
from tests.servers import ACCESS_KEY, CREDENTIALS, SECRET_KEY, SeaweedFS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAME = "benchmark"
TICKS = os.sysconf("SC_CLK_TCK")


Way = Callable[[int], float | None]
"""Does it, given the number of the repetition; the seconds it took, if its preparations don't count."""


@dataclass
class Taken:
    """What one way of doing it took."""

    seconds: float
    client: float
    """Processor seconds of this process and of those it started."""
    server: float
    """Processor seconds of the server."""


@dataclass
class Table:
    """Ways of doing the same thing, measured in turn."""

    title: str
    unit: str
    amount: float
    ways: dict[str, Way]
    plain: str

    def measure(self, server: SeaweedFS, repetitions: int) -> None:
        """Measure every way in each repetition, and print medians."""
        taken: dict[str, list[Taken]] = {way: [] for way in self.ways}
        for repetition in range(repetitions):
            for way, do in self.ways.items():
                client, busy, start = _own_seconds(), _server_seconds(server), perf_counter()
                seconds = do(repetition) or perf_counter() - start
                taken[way].append(Taken(seconds, _own_seconds() - client, _server_seconds(server) - busy))
        print(f"\n{self.title}: {repetitions} in turn, medians; times plain of the same repetition")
        for way, found in taken.items():
            pairs = zip(found, taken[self.plain], strict=True)
            ratios = sorted(plain.seconds / mine.seconds for mine, plain in pairs)
            rate = self.amount / median(each.seconds for each in found)
            client = median(each.client for each in found) / self.amount * 1000
            busy = median(each.server for each in found) / self.amount * 1000
            span = f"{median(ratios):5.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            print(
                f"  {way:28} {rate:8.0f} {self.unit}/s, times {span}"
                f"  client {client:6.2f} ms, server {busy:6.2f} ms of CPU per {self.unit}",
                flush=True,
            )


def _own_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process_time() + children.ru_utime + children.ru_stime


def _server_seconds(server: SeaweedFS) -> float:
    assert server._process
    fields = Path(f"/proc/{server._process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def in_memory() -> Iterator[SeaweedFS]:
    """A server whose folder is in memory, where there is such a file system; nothing of it is left."""
    memory = Path("/dev/shm")  # noqa: S108 - is all it is for
    folder = Path(tempfile.mkdtemp(prefix="mura-jobs-benchmark-", dir=memory if memory.is_dir() else None))
    server = SeaweedFS(folder, small=False)
    try:
        server.start().make_bucket(NAME)
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


def main() -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the large object, 10⁶ bytes")
    parser.add_argument("--objects", type=int, default=5000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 100_000], help="of small objects")
    parser.add_argument("--listed", type=int, default=100_000, help="objects in the listed prefix")
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    os.environ |= CREDENTIALS | {
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    print(f"{os.cpu_count()} cores, load before {os.getloadavg()[0]:.1f}")
    with in_memory() as server:
        large(server, given.megabytes * 10**6, given.repetitions)
    for size in given.sizes:
        with in_memory() as server:
            small(server, size, given.objects, given.repetitions)
    with in_memory() as server:
        listing(server, given.listed, given.repetitions)


def large(server: SeaweedFS, size: int, repetitions: int) -> None:
    """One object up and down."""
    source, target = server.folder / "source", server.folder / "target"
    with source.open("wb") as file:
        for number in range(0, size, 10**6):
            file.write(np.random.default_rng(number).bytes(min(10**6, size - number)))
    client, bucket = plain_client(server), open_bucket(f"s3://{NAME}/ours", server.endpoint)

    def get(_: int) -> None:
        with target.open("wb") as file:
            for block in client.get_object(Bucket=NAME, Key="plain")["Body"].iter_chunks(1 << 20):
                file.write(block)

    megabytes, part = size / 1e6, np.random.default_rng(0).bytes(size // 100)

    def keys(repetition: int) -> list[str]:
        return [f"raw-{repetition}/{number:02}" for number in range(100)]

    up: dict[str, Way] = {
        "boto3 upload_file": lambda _: client.upload_file(str(source), NAME, "plain"),
        "mura-jobs upload": lambda _: bucket.upload(source, "large"),
        "server": lambda i: server_limit(server, "PUT", keys(i), part),
        "loopback": lambda _: loopback(size),
    }
    Table(f"{megabytes:.0f} MB up", "MB", megabytes, up, "boto3 upload_file").measure(server, repetitions)
    down: dict[str, Way] = {
        "boto3 download_file": lambda _: client.download_file(NAME, "plain", str(target)),
        "mura-jobs download": lambda _: bucket.download("large", target),
        "boto3 get_object": get,
        "server": lambda i: server_limit(server, "GET", keys(i), b""),
        "loopback": lambda _: loopback(size),
    }
    Table(f"{megabytes:.0f} MB down", "MB", megabytes, down, "boto3 download_file").measure(
        server, repetitions
    )
    print(f"  memory of a process that does both once: {peak(server, source)}")


def small(server: SeaweedFS, size: int, count: int, repetitions: int) -> None:
    """Many objects up and down."""
    client, bucket = plain_client(server), open_bucket(f"s3://{NAME}", server.endpoint)
    data = np.random.default_rng(size).bytes(size)

    def keys(way: str, repetition: int) -> list[str]:
        return [f"{way}-{size}-{repetition}/{number:06}.png" for number in range(count)]

    def plain_put(repetition: int) -> None:
        for key in keys("plain", repetition):
            client.put_object(Bucket=NAME, Key=key, Body=data)

    def plain_get(repetition: int) -> None:
        for key in keys("plain", repetition):
            client.get_object(Bucket=NAME, Key=key)["Body"].read()

    def read(repetition: int) -> None:
        for _, got in bucket.read_all(keys("plain", repetition)):
            assert len(got) == size

    up: dict[str, Way] = {
        "boto3 put_object loop": plain_put,
        "mura-jobs write_all": lambda i: bucket.write_all((key, data) for key in keys("ours", i)),
        "server": lambda i: server_limit(server, "PUT", keys("raw", i), data),
    }
    down: dict[str, Way] = {
        "boto3 get_object loop": plain_get,
        "mura-jobs read_all": read,
        "server": lambda i: server_limit(server, "GET", keys("plain", i), b""),
    }
    title = f"{count} objects of {size} bytes"
    Table(f"{title} up", "object", count, up, "boto3 put_object loop").measure(server, repetitions)
    Table(f"{title} down", "object", count, down, "boto3 get_object loop").measure(server, repetitions)


def listing(server: SeaweedFS, count: int, repetitions: int) -> None:
    """One prefix with many objects."""
    client, bucket = plain_client(server), open_bucket(f"s3://{NAME}", server.endpoint)
    bucket.write_all((f"many/patient{number:06}/study1_positive/image1.png", b"x") for number in range(count))

    def plain(_: int) -> None:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=NAME, Prefix="many/")
        assert sum(len(page["Contents"]) for page in pages) == count

    def ours(_: int) -> None:
        assert sum(1 for _ in bucket.list("many/")) == count

    ways: dict[str, Way] = {"boto3 list_objects_v2 pages": plain, "mura-jobs list": ours}
    Table(f"Listing {count}", "object", count, ways, "boto3 list_objects_v2 pages").measure(
        server, repetitions
    )


def plain_client(server: SeaweedFS) -> "S3Client":
    """A boto3 client with its defaults."""
    client: S3Client = boto3.client("s3", endpoint_url=server.endpoint)
    return client


def loopback(size: int) -> None:
    """Send `size` bytes from another process to this one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = multiprocessing.Process(target=_send, args=(listener.getsockname()[1], size))
        sender.start()
        connection, _ = listener.accept()
        buffer, left = bytearray(1 << 20), size
        with connection:
            while left:
                left -= connection.recv_into(buffer)
        sender.join()


def _send(port: int, size: int) -> None:
    block = bytes(1 << 20)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for at in range(0, size, len(block)):
            connection.sendall(block[: size - at])


def server_limit(server: SeaweedFS, method: str, keys: list[str], data: bytes) -> float:
    """Seconds that the server takes for requests of twice as many processes as there are cores.

    They are signed and their connections are open before the time starts.
    """
    processes = 2 * (os.cpu_count() or 1)
    ready = multiprocessing.Barrier(processes + 1)
    senders = [
        multiprocessing.Process(target=_request_all, args=(server, method, keys[i::processes], data, ready))
        for i in range(processes)
    ]
    for sender in senders:
        sender.start()
    ready.wait()
    start = perf_counter()
    for sender in senders:
        sender.join()
        assert sender.exitcode == 0
    return perf_counter() - start


def _request_all(server: SeaweedFS, method: str, keys: list[str], data: bytes, ready: Barrier) -> None:
    requests = [_signed(server, method, key, data) for key in keys]
    with socket.create_connection(("127.0.0.1", server.ports["s3"])) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready.wait()
        for request in requests:
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(1 << 20)
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.split()[1] == b"200", answer
            found = re.search(rb"(?i)content-length: *(\d+)", head)
            left = (int(found[1]) if found else 0) - len(body)
            while left:
                left -= len(connection.recv(left))


def _signed(server: SeaweedFS, method: str, key: str, data: bytes) -> bytes:
    request = AWSRequest(method, f"{server.endpoint}/{NAME}/{key}", data=data)
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(request)
    headers = {"Host": server.endpoint.removeprefix("http://"), "Content-Length": str(len(data))}
    lines = [f"{name}: {value}" for name, value in (headers | dict(request.headers)).items()]
    return "\r\n".join([f"{method} /{NAME}/{key} HTTP/1.1", *lines, "", ""]).encode() + data


def peak(server: SeaweedFS, source: Path) -> str:
    """Peak memory of a process that uploads and downloads once."""
    code = f"""
from pathlib import Path
from mura_jobs.bucket import open_bucket
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
bucket = open_bucket("s3://{NAME}/peak", {server.endpoint!r})
bucket.exists("large")
peaks = [peak()]
bucket.upload(Path({str(source)!r}), "large")
peaks.append(peak())
bucket.download("large", Path({str(source)!r}))
print("peak of {{}} MiB before, {{}} after the upload, {{}} after the download".format(*peaks, peak()))
"""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
