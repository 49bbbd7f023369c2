from pathlib import Path

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.radiographs.config import PhantomConfig
from mura_jobs.stages import PHANTOM
from tests.radiographs.drawing import run_stage


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    folder = tmp_path / "bucket"
    folder.mkdir()
    return open_bucket(folder.as_uri())


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    """A bucket with a small generated data set at raw/phantom; tests add runs of their own names to it."""
    bucket = open_bucket(tmp_path_factory.mktemp("phantom").as_uri())
    run_stage(PHANTOM, PhantomConfig(train_patients=30, valid_patients=8, long_side=64, seed=3), bucket)
    return bucket
