"""What tests of faults share: a process that starts attempts, and what they make when left alone."""

from collections.abc import Callable, Iterator
import itertools
from pathlib import Path
import shutil
import tempfile

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from tests.bucket.proxy import Proxy
from tests.faults.attempts import INSTANCES, Whole, Zygote, bucket_in, copy_inputs, make_whole, published
from tests.servers import SeaweedFS

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory
ROOM = 4 << 30


@pytest.fixture(scope="session")
def room() -> Iterator[Path]:
    """A folder for many buckets, in memory where there is room: a checkpoint is synced to disk."""
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix="mura-jobs-faults-", dir=MEMORY if has_room else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def zygote(s3_server: SeaweedFS, room: Path) -> Iterator[Zygote]:
    """Starts attempts, which find the S3 server's credentials in their environment."""
    del s3_server
    (room / "logs").mkdir()
    with Zygote(room / "logs") as running:
        yield running


@pytest.fixture(scope="session")
def whole(zygote: Zygote, room: Path) -> Whole:
    """The small run, undisturbed."""
    bucket = bucket_in(room / "whole")
    seconds = make_whole(zygote, bucket.url)
    objects = {where: published(bucket, where) for where in INSTANCES}
    return Whole(bucket, seconds, {where: found for where, found in objects.items() if found})


@pytest.fixture(scope="session")
def new_folder(whole: Whole, room: Path) -> Callable[[str], Bucket]:
    """Makes a bucket in a folder with what an instance reads."""
    numbers = itertools.count()

    def make(where: str) -> Bucket:
        bucket = bucket_in(room / f"bucket-{next(numbers)}")
        copy_inputs(where, whole.bucket, bucket)
        return bucket

    return make


@pytest.fixture(scope="session")
def new_s3(whole: Whole, s3_server: SeaweedFS, new_s3_prefix: Callable[[], str]) -> Callable[[str], Bucket]:
    """Makes a prefix on the S3 server with what an instance reads."""

    def make(where: str) -> Bucket:
        bucket = open_bucket(new_s3_prefix(), s3_server.endpoint)
        copy_inputs(where, whole.bucket, bucket)
        return bucket

    return make


@pytest.fixture
def s3_endpoint(s3_server: SeaweedFS) -> str:
    """Where the S3 server answers."""
    return s3_server.endpoint


@pytest.fixture
def proxy(s3_server: SeaweedFS) -> Iterator[Proxy]:
    """Between attempts and the S3 server."""
    with Proxy(s3_server.endpoint).running() as running:
        yield running
