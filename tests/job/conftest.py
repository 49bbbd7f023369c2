from pathlib import Path

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket


@pytest.fixture
def bucket_url(tmp_path: Path) -> str:
    folder = tmp_path / "bucket"
    folder.mkdir()
    return folder.as_uri()


@pytest.fixture
def bucket(bucket_url: str) -> Bucket:
    return open_bucket(bucket_url)
