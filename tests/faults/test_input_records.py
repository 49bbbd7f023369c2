"""Hostile records of our own kinds: manifests, run files, events, generators; and a cluster's Jobs."""

from datetime import UTC, datetime
import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
import pytest
import safetensors.torch

from mura_jobs.bucket.local import LocalBucket
from mura_jobs.cluster import record
from mura_jobs.cluster.gate import read_gate
from mura_jobs.cluster.plan import look_ahead
from mura_jobs.cluster.status import look
from mura_jobs.errors import InputError
from mura_jobs.gan.generator import Generator
from mura_jobs.gan.load import CONFIG, WEIGHTS, load_generator
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.job.events import Events, record_key
from mura_jobs.job.manifest import read_manifest
from mura_jobs.stages import RunConfig
from tests.faults.hostile import MANY, bounded_memory, survive
from tests.gan.small import network_config


@pytest.fixture
def bucket(tmp_path: Path) -> LocalBucket:
    (tmp_path / "bucket").mkdir()
    return LocalBucket(tmp_path / "bucket")


def lay(bucket: LocalBucket, key: str, data: bytes) -> None:
    """Put bytes at a key, without the care that a bucket takes."""
    path = bucket.folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def values(*names: str) -> st.SearchStrategy[bytes]:
    """JSON of anything, under names that mean something."""
    words = st.sampled_from(names) | st.text(max_size=3)
    leaves = words | st.integers(-(2**70), 2**70) | st.none() | st.floats() | st.booleans()
    anything = st.recursive(
        leaves, lambda v: st.lists(v, max_size=4) | st.dictionaries(words, v, max_size=5), max_leaves=12
    )
    return anything.map(lambda value: json.dumps(value).encode())


DEEP = [
    b"[" * 5000,
    b'{"a":' * 5000,
    b"[" * 5000 + b"]" * 5000,
    b"9" * 5000,
    b'"\\ud800"',
    b"\xff\xfe",
    b"NaN",
    b"[1e999]",
]


@pytest.mark.parametrize("cases", MANY)
def test_manifests(cases: int, bucket: LocalBucket) -> None:
    draft = Draft(bucket, "runs/r/preprocess", stage="preprocess", config={"a": 1}, inputs={"x": "y"})
    draft.put("a.txt", b"1")
    draft.publish({"images": 3})

    def parse(data: bytes) -> None:
        lay(bucket, "runs/r/preprocess/manifest.json", data)
        manifest = read_manifest(bucket, "runs/r/preprocess")
        assert manifest is not None
        assert manifest.digest
        manifest.require_same("here", {"a": 1}, {"x": "y"})
        artifact = Artifact.open(bucket, "runs/r/preprocess")
        for name in artifact.names:
            artifact.read(name)

    valid = bucket.read("runs/r/preprocess/manifest.json")
    survive(parse, [valid], cases, values(*json.loads(valid)), st.sampled_from(DEEP))


@pytest.mark.parametrize("key", ["../../secret", "/etc/passwd", "a/../../secret", "..", ""])
def test_a_manifest_leads_to_nothing_outside(key: str, bucket: LocalBucket, tmp_path: Path) -> None:
    """Neither by an object's key nor by its name, under which it would be fetched."""
    (tmp_path / "secret").write_text("secret")
    for name, stored in ((key, "a.txt"), ("a.txt", key)):
        bucket.delete(entry.key for entry in list(bucket.list()))
        Draft(bucket, "set", stage="preprocess", config={}, inputs={}).publish({})
        manifest = json.loads(bucket.read("set/manifest.json"))
        bucket.write("set/a.txt", b"1")
        digest = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
        manifest["objects"] = {name: {"key": stored, "bytes": 1, "sha256": digest}}
        bucket.write("set/manifest.json", json.dumps(manifest).encode())
        with pytest.raises(Exception, match=r"can't be|not a manifest"):
            Artifact.open(bucket, "set").fetch(name, tmp_path / "scratch")
        assert [
            path.name for path in tmp_path.rglob("*") if path.is_file() and "bucket" not in path.parts
        ] == ["secret"]


@pytest.mark.parametrize("cases", MANY)
def test_run_files_in_the_bucket(cases: int, bucket: LocalBucket) -> None:
    record.record(bucket, "r", RunConfig(), replace=False)
    valid = bucket.read(record.key("r"))

    def parse(data: bytes) -> None:
        lay(bucket, record.key("r"), data)
        record.read(bucket, "r")

    survive(parse, [valid], cases, values(*json.loads(valid)), st.sampled_from(DEEP))


def events(bucket: LocalBucket) -> bytes:
    """The record of an attempt."""
    told = Events(bucket, style="json", run="r", instance="preprocess")
    told.emit("started", devices=["cpu"])
    with told.progress(10, "img", "cleaning") as bar:
        bar.advance(10)
    told.emit("failed", exit_code=1, error="it broke")
    told.close()
    return bucket.read(record_key("r", "preprocess", 0))


NAMES = (
    "event",
    "time",
    "attempt",
    "elapsed_s",
    "instance",
    "progress",
    "started",
    "devices",
    "done",
    "total",
)


@pytest.mark.parametrize("cases", MANY)
def test_event_records_are_looked_at(cases: int, bucket: LocalBucket) -> None:
    """By `status`, and by the attempt that comes next: what is no event is named, or told as it is."""
    valid = events(bucket)

    def parse(data: bytes) -> None:
        lay(bucket, record_key("r", "preprocess", 0), data)
        look(bucket, "r", RunConfig(), 60, datetime.now(UTC))

    survive(parse, [valid], cases, values(*NAMES), st.sampled_from(DEEP))


@pytest.mark.parametrize("cases", MANY)
def test_event_records_are_continued(
    cases: int, bucket: LocalBucket, capsys: pytest.CaptureFixture[str]
) -> None:
    """An attempt begins after any record: what it can't read it must not stumble over."""
    valid = events(bucket)

    def parse(data: bytes) -> None:
        lay(bucket, record_key("r", "preprocess", 0), data)
        told = Events(bucket, style="json", run="r", instance="preprocess")
        told.emit("started", devices=["cpu"])
        assert told.elapsed_seconds >= 0
        told.close()
        capsys.readouterr()

    survive(parse, [valid], cases, values(*NAMES), st.sampled_from(DEEP), least=0)


@pytest.mark.parametrize("cases", MANY)
def test_plans_over_any_manifests(cases: int, bucket: LocalBucket) -> None:
    Draft(bucket, "runs/r/preprocess", stage="preprocess", config={"a": 1}, inputs={}).publish({})

    def parse(data: bytes) -> None:
        lay(bucket, "runs/r/preprocess/manifest.json", data)
        look_ahead(bucket, "q", RunConfig())

    valid = bucket.read("runs/r/preprocess/manifest.json")
    survive(parse, [valid], cases, values(*json.loads(valid)), st.sampled_from(DEEP))


NETWORK = network_config(resolution=8, mapping_layers=1)


def put_generator(bucket: LocalBucket, weights: bytes, config: bytes) -> Artifact:
    """What a training would have published, with any bytes."""
    for path in (bucket.folder / "gan").glob("*"):
        path.unlink()
    draft = Draft(bucket, "gan", stage="train-gan", config={}, inputs={})
    draft.put(WEIGHTS, weights)
    draft.put(CONFIG, config)
    draft.publish({})
    return Artifact.open(bucket, "gan")


@pytest.mark.timeout(1800)  # a megabyte each time
@pytest.mark.parametrize("cases", MANY)
@pytest.mark.parametrize("which", ["weights", "config"])
def test_generators(which: str, cases: int, bucket: LocalBucket) -> None:
    weights = safetensors.torch.save(Generator(NETWORK).state_dict())
    config = json.dumps({"network": NETWORK.plain(), "classes": []}).encode()

    def parse(data: bytes) -> None:
        given = {"weights": weights, "config": config} | {which: data}
        load_generator(put_generator(bucket, **given), "positive")

    names = ("network", "classes", *NETWORK.plain())
    valid = weights if which == "weights" else config
    survive(parse, [valid], cases, values(*names), st.sampled_from(DEEP))


JOB: dict[str, Any] = {
    "kind": "Job",
    "metadata": {
        "name": "r-preprocess-abc",
        "resourceVersion": "5",
        "labels": {"app.kubernetes.io/component": "preprocess"},
        "annotations": {"mura-jobs/places": "preprocess", "mura-jobs/parallelism": "4"},
    },
    "spec": {"suspend": True, "parallelism": 0},
    "status": {"conditions": [{"type": "Suspended", "status": "True"}]},
}


@pytest.mark.parametrize("cases", MANY)
def test_jobs_that_others_wrote_on(cases: int) -> None:
    """An API server keeps the types; labels and annotations may be any text."""

    def parse(data: bytes) -> None:
        names = data.decode("utf-8", "replace").split("\n")
        annotations = dict(zip(names[::2], names[1::2], strict=False))
        read_gate(JOB | {"metadata": JOB["metadata"] | {"annotations": annotations}}, "now")

    keys = st.sampled_from(
        ["mura-jobs/places", "mura-jobs/parallelism", "mura-jobs/opened", "mura-jobs/queue"]
    )
    pairs = st.lists(st.tuples(keys, st.text(max_size=5)), max_size=5)
    texts = pairs.map(lambda found: "\n".join(f"{a}\n{b}" for a, b in found).encode("utf-8", "replace"))
    survive(parse, [b"mura-jobs/places\na b\nmura-jobs/parallelism\n4"], cases, texts)


@pytest.mark.parametrize(
    "change",
    [
        {"resolution": 2**40},
        {"resolution": 1024, "channel_max": 2**20},
        {"mapping_layers": 10**9},
        {"resolution": 24},
        {"labels": 2**30},
    ],
)
def test_a_generators_description_takes_no_more_than_its_weights(
    change: dict[str, int], bucket: LocalBucket
) -> None:
    weights = safetensors.torch.save(Generator(NETWORK).state_dict())
    config = json.dumps(
        {"network": NETWORK.plain() | {"channel_base": 2**30} | change, "classes": []}
    ).encode()
    with bounded_memory(100 << 20), pytest.raises(InputError):
        load_generator(put_generator(bucket, weights, config), "positive")
