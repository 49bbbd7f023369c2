from pathlib import Path

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Artifact
from tests.report.toy_run import ToyRun


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> ToyRun:
    """A run up to the report, for tests that only read it."""
    toy = ToyRun(open_bucket(tmp_path_factory.mktemp("toy").as_uri()), patients=90)
    toy.publish()
    return toy


@pytest.fixture(scope="session")
def report(published: ToyRun, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Its report."""
    return published.report(tmp_path_factory.mktemp("scratch"))


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    """An empty bucket of the test's own."""
    folder = tmp_path / "bucket"
    folder.mkdir()
    return open_bucket(folder.as_uri())


@pytest.fixture
def small(bucket: Bucket) -> ToyRun:
    """A small run of two arms and one seed, not yet published."""
    return ToyRun(bucket, arms=("real", "real+synthetic"), seeds=1, patients=60)
