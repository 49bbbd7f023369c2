"""The main job, end to end, as a user runs it."""

from collections.abc import Callable
import io
import json
from pathlib import Path
import subprocess

import numpy as np
from PIL import Image
import pytest
import yaml

from mura_jobs.bucket import open_bucket
from mura_jobs.stages import RunConfig, plan
from tests.pipeline.runs import TINY, digests, read_everything, results, run
from tests.servers import SeaweedFS


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("pipeline") / "bucket with ü"
    folder.mkdir()
    return folder.as_uri(), run(folder.as_uri())


def test_a_run_publishes_every_stage_and_says_where_the_report_is(
    finished: tuple[str, subprocess.CompletedProcess[str]],
) -> None:
    url, done = finished
    assert done.returncode == 0, done.stderr
    config = RunConfig.parse(yaml.safe_load(TINY.read_text()))
    expected = {instance.stage.prefix(instance.config, "r") for instance in plan(config)}
    bucket = open_bucket(url)
    assert digests(bucket).keys() == expected
    assert read_everything(bucket) > len(expected)
    assert done.stdout.strip() == f"report: {url}/runs/r/report/index.html"
    assert bucket.read("runs/r/report/index.html").startswith(b"<!DOCTYPE html>")


def test_a_second_run_changes_nothing(finished: tuple[str, subprocess.CompletedProcess[str]]) -> None:
    url, _ = finished
    bucket = open_bucket(url)

    def contents() -> dict[str, bytes]:
        return {entry.key: bucket.read(entry.key) for entry in bucket.list() if "/events/" not in entry.key}

    before = contents()
    done = run(url)
    assert done.returncode == 0, done.stderr
    assert contents() == before
    assert done.stderr.count('"already published"') == len(digests(bucket))


def test_another_configuration_is_refused_by_name(
    finished: tuple[str, subprocess.CompletedProcess[str]],
) -> None:
    url, _ = finished
    before = digests(open_bucket(url))
    done = run(url, "--train-cnn.epochs", "3")
    assert done.returncode == 64
    assert "train-cnn/real/seed-0: epochs: 2 → 3" in done.stderr
    assert digests(open_bucket(url)) == before


def test_s3_and_a_folder_give_the_same_bytes(
    finished: tuple[str, subprocess.CompletedProcess[str]],
    s3_server: SeaweedFS,
    new_s3_prefix: Callable[[], str],
) -> None:
    """The same run over the wire against a real S3 server publishes the same content."""
    url, _ = finished
    s3_url = new_s3_prefix()
    done = run(s3_url, "--endpoint", s3_server.endpoint)
    assert done.returncode == 0, done.stderr
    bucket = open_bucket(s3_url, s3_server.endpoint)
    assert results(bucket) == results(open_bucket(url))
    assert read_everything(bucket)


def test_old_sample_grids_are_weighed_with_a_warning(tmp_path: Path) -> None:
    """Nothing is known of their generators, and the page says so beside its verdict."""
    bucket = open_bucket(tmp_path.as_uri())
    for seed, label in enumerate(("positive", "negative")):
        grid = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (4 * 16, 5 * 16), np.uint8)
        Image.fromarray(pixels).save(grid, "PNG")
        bucket.write(f"raw/grid-{label}.png", grid.getvalue())
    done = run(
        tmp_path.as_uri(),
        *("--import-grid.source", "raw/grid-{label}.png", "--import-grid.columns", "5"),
        *("--import-grid.rows", "4", "--import-grid.gates.features.space", "none"),
        *("--arms", "real", "real+synthetic-n10"),
    )
    assert done.returncode == 0, done.stderr
    published = digests(bucket)
    assert "runs/r/synthesize/positive" in published
    assert not [place for place in published if "train-gan" in place]
    report = json.loads(bucket.read("runs/r/report/report.json"))
    assert report["verdict"]["lead"]["arm"] == "real+synthetic-n10"
    assert any("not on record" in sentence for sentence in report["sentences"])
    broken = {check["name"]: check["status"] for check in report["firewall"] if check["status"] != "holds"}
    assert broken == {
        f"The generator of synthetic {label} radiographs saw no test radiograph": "warning"
        for label in ("positive", "negative")
    }
