"""What can't work is refused at `helm template` time, with the fix in the message."""

from typing import Any

import helm_python
import pytest

from tests.helm.chart import render

LONG = "arunwhosenamegoesonforquitealongwhile01"

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"bucket": {"url": ""}}, "bucket.url is empty: --set bucket.url="),
    ({"bucket": {"url": "gs://mura"}}, "/bucket/url"),
    (
        {"bucket": {"url": "file:///data", "endpoint": "http://host"}},
        "a folder (file:///data) has no endpoint",
    ),
    ({"bucket": {"url": "s3://mura", "endpoint": "http://user:word@host"}}, "/bucket/endpoint"),
    (
        {
            "bucket": {"url": "s3://mura", "existingSecret": "s"},
            "serviceAccount": {"annotations": {"a": "b"}},
        },
        "only one",
    ),
    (
        {"bucket": {"url": "s3://mura", "existingSecret": "s"}, "developmentBucket": {"enabled": True}},
        "only one of them",
    ),
    ({"run": "Shoulder"}, "use lower-case letters"),
    ({"run": "1st"}, "a letter first"),
    ({"run": LONG, "arms": ["real+synthetic-x0.25-f0.125"]}, "shorten run"),
    ({"labels": ["positive"]}, "needs synthetic radiographs of both labels"),
    ({"labels": ["positive", "positive"], "arms": ["real"]}, "name each label and arm once"),
    ({"labels": ["abnormal"]}, "/labels"),
    ({"arms": ["fake"]}, "/arms/0"),
    ({"arms": ["real-x2"]}, "real takes no amount"),
    ({"arms": ["synthetic-only-x1-f0.5"]}, "remove -f"),
    ({"seeds": 0}, "/seeds"),
    ({"phantom": {"enabled": True}}, "set preprocess.config.source to raw/phantom"),
    ({"phantom": {"config": {"seed": 1}}}, "phantom.enabled is false"),
    ({"import-grid": {"config": {"source": "grid.png"}}}, "import-grid.enabled is false"),
    ({"import-grid": {"enabled": True}}, "set import-grid.config.source"),
    (
        {"import-grid": {"enabled": True, "config": {"source": "grid.png"}}, "conditional": True},
        "no generator is trained",
    ),
    ({"train-gan": {"gpus": 4, "processes": 2}}, "leave processes out"),
    ({"train-gan": {"gpus": 8, "config": {"batch": 20}}}, "use a multiple of 8"),
    ({"train-cnn": {"gpus": 3, "config": {"batch": 64}}}, "use a multiple of 3"),
    ({"synthesize": {"gpus": 2}}, "synthesize.shards to 2"),
    ({"jobSet": {"enabled": True}}, "train-gan.nodes is 1"),
    ({"kueue": {"priorityClass": "low"}}, "kueue.queueName"),
    ({"kubeVersion": "1.20.2"}, "set preprocess.shards to 1"),
    (
        {"kubeVersion": "1.20.2", "preprocess": {"shards": 1}, "train-gan": {"nodes": 2}},
        "set train-gan.nodes to 1",
    ),
    (
        {"kubeVersion": "1.20.2", "preprocess": {"shards": 1}, "report": {"deadlineSeconds": 60}},
        "report.deadlineSeconds would count while the Job waits",
    ),
    ({"train-gan": {"config": {"kimgs": 1}}}, "kimgs"),
    ({"train-gan": {"config": {"kimg": -1}}}, "/train-gan/config/kimg"),
    ({"preprocess": {"config": {"resolution": "256"}}}, "/preprocess/config/resolution"),
    ({"preprocess": {"nodes": 2}}, "nodes"),
    ({"trainGan": {}}, "trainGan"),
    ({"jobDefaults": {"shmSize": "lots"}}, "/jobDefaults/shmSize"),
    ({"image": {"digests": {"train-gan": "latest"}}}, "/image/digests/train-gan"),
    ({"orchestration": "airflow"}, "/orchestration"),
]


@pytest.mark.parametrize(
    ("values", "message"), REFUSED, ids=lambda part: part if isinstance(part, str) else None
)
def test_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(helm_python.HelmError) as refusal:
        render(values)
    assert message in str(refusal.value)


def test_the_longest_run_that_is_refused_names_one_that_is_not() -> None:
    """The message says by how much to shorten the run, and that much is enough."""
    values = {"run": LONG, "arms": ["real+synthetic-x0.25-f0.125"], "labels": ["positive", "negative"]}
    with pytest.raises(helm_python.HelmError) as refusal:
        render(values)
    excess = int(str(refusal.value).rpartition(" by ")[2].split()[0])
    render(values | {"run": LONG[: len(LONG) - excess]})
    with pytest.raises(helm_python.HelmError):
        render(values | {"run": LONG[: len(LONG) - excess + 1]})
