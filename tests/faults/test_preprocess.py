"""Kill `preprocess` at every stage of its work against a real S3 server, run it again: the same bytes."""

from collections.abc import Callable
import json
import signal
import subprocess
import sys

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.job.artifact import Artifact
from mura_jobs.radiographs.config import PhantomConfig
from mura_jobs.stages import PHANTOM
from tests.radiographs.drawing import run_stage
from tests.servers import SeaweedFS

pytestmark = pytest.mark.faults

RAW = PhantomConfig(train_patients=36, valid_patients=12, long_side=64, seed=6)
SHARES = 2

MOMENTS = {
    "listing": ("started", 1),
    "tables read": ("counts", 1),
    "cleaning": ("progress", 1),
    "part published": ("merging", 1),
    "publishing": ("cleaned", 1),
}
"""After which of its events, and how many of them, it is killed."""


def command(bucket: Bucket, endpoint: str, run: str, index: int) -> list[str]:
    where = ["--bucket", bucket.url, "--endpoint", endpoint, "--run-id", run, "--log", "json"]
    share = ["--index", str(index), "--count", str(SHARES)]
    what = [
        "--source",
        "raw/phantom",
        "--resolution",
        "64",
        "--shard-images",
        "50",
        "--select-fraction",
        "0.3",
    ]
    return [sys.executable, "-m", "mura_jobs", "preprocess", *where, *share, *what]


def objects(bucket: Bucket, run: str) -> dict[str, str]:
    """Each published object's digest, after its bytes were checked; nothing else may lie there."""
    artifact = Artifact.open(bucket, f"runs/{run}/preprocess")
    stored = artifact.manifest.objects
    for name in artifact.names:
        artifact.read(name)
    lying = {entry.key for entry in bucket.list(f"{artifact.prefix}/")}
    assert lying == {f"{artifact.prefix}/{one.key}" for one in stored.values()} | {
        f"{artifact.prefix}/manifest.json"
    }
    return {name: one.sha256 for name, one in stored.items()}


def start(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def kill_at(process: subprocess.Popen[str], moment: str, signal_number: signal.Signals) -> int:
    event, times = MOMENTS[moment]
    assert process.stderr is not None
    for line in process.stderr:
        times -= f'"event": "{event}"' in line
        if times <= 0:
            process.send_signal(signal_number)
            break
    process.communicate(timeout=60)
    return process.returncode


@pytest.fixture(scope="module")
def raw(
    s3_server: SeaweedFS, new_s3_prefix: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Bucket:
    """A bucket with phantoms and an undisturbed run `whole`."""
    drawn = open_bucket(tmp_path_factory.mktemp("phantoms").as_uri())
    run_stage(PHANTOM, RAW, drawn)
    bucket = open_bucket(new_s3_prefix(), s3_server.endpoint)
    bucket.write_all(drawn.read_all([entry.key for entry in drawn.list("raw/")]))
    for index in range(SHARES):
        subprocess.run(command(bucket, s3_server.endpoint, "whole", index), check=True, capture_output=True)
    return bucket


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_killed_at_every_moment_and_run_again_gives_the_same(
    raw: Bucket, s3_server: SeaweedFS, signal_number: signal.Signals
) -> None:
    """The last share is killed five times, once in each stage of its work, and then left alone."""
    run = signal_number.name.lower()
    subprocess.run(command(raw, s3_server.endpoint, run, 0), check=True, capture_output=True)
    last = command(raw, s3_server.endpoint, run, 1)
    for moment in MOMENTS:
        code = kill_at(start(last), moment, signal_number)
        expected = (-signal.SIGKILL,) if signal_number == signal.SIGKILL else (143, -signal.SIGTERM, 0)
        assert code in expected, (moment, code)
    done = subprocess.run(last, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert objects(raw, run) == objects(raw, "whole")
    again = subprocess.run(last, check=True, capture_output=True, text=True)
    assert "already published" in [
        json.loads(line)["event"] for line in again.stderr.splitlines() if line.startswith("{")
    ]
