from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.errors import ConfigError
from mura_jobs.job.artifact import Artifact, Draft
from mura_jobs.job.config import Config
from mura_jobs.job.job import Job
from mura_jobs.job.parts import run_in_parts
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.stage import JobOptions, Outcome, Stage, execute

MADE: list[int] = []


class SquaresConfig(Config):
    upto: int = 20


def squares(config: SquaresConfig, job: Job) -> None:
    def make(part: Draft) -> Mapping[str, Any]:
        MADE.append(job.index)
        for number in range(config.upto):
            if number % job.count == job.index:
                part.put(f"{number}.txt", str(number**2).encode())
        return {}

    def merge(parts: Sequence[Artifact]) -> Mapping[str, Any]:
        found = {int(name.split(".")[0]): part.read(name) for part in parts for name in part.names}
        job.output.put("all.txt", b" ".join(found[number] for number in sorted(found)))
        return {"numbers": len(found)}

    run_in_parts(job, make, merge)


STAGE = Stage(
    "squares", "square numbers", SquaresConfig, squares, place=lambda _: "squares", needs=lambda _: ()
)


@pytest.fixture
def url(bucket_url: str) -> str:
    MADE.clear()
    return bucket_url


def share(url: str, index: int, count: int, config: SquaresConfig | None = None) -> Outcome:
    options = JobOptions(bucket=url, run_id="r", index=index, count=count, log="json")
    return execute(STAGE, config or SquaresConfig(), options, Shutdown())


@pytest.mark.parametrize("order", [[0], [2, 0, 1], [6, 5, 4, 3, 2, 1, 0]])
def test_neither_number_nor_order_of_shares_changes_the_output(url: str, order: list[int]) -> None:
    outcomes = [share(url, index, len(order)) for index in order]
    assert outcomes == ["part published"] * (len(order) - 1) + ["published"]
    whole = Artifact.open(open_bucket(url), "runs/r/squares")
    assert whole.read("all.txt").split() == [str(n**2).encode() for n in range(20)]
    assert not list(open_bucket(url).list("runs/r/squares/parts/"))


def test_a_share_run_again_is_not_made_again(url: str) -> None:
    share(url, 0, 2)
    assert share(url, 0, 2) == "part published"
    assert share(url, 1, 2) == "published"
    assert share(url, 0, 2) == "already published"
    assert MADE == [0, 1]


def test_shares_that_finish_together_publish_one_whole(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda index: share(url, index, 8), range(8)))
    assert "published" in outcomes
    assert Artifact.open(open_bucket(url), "runs/r/squares").manifest.summary == {"numbers": 20}


def test_parts_of_another_configuration_are_refused(url: str) -> None:
    share(url, 0, 2)
    with pytest.raises(ConfigError, match="upto: 20 → 10"):
        share(url, 0, 2, SquaresConfig(upto=10))


def test_a_share_run_again_while_the_whole_is_published_leaves_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes may run the same index twice; the other one may publish and clear up in the meantime."""
    monkeypatch.setattr("mura_jobs.job.stage._is_published", lambda *_, **__: False)
    share(url, 0, 2)
    share(url, 1, 2)
    before = Artifact.open(open_bucket(url), "runs/r/squares").manifest
    assert share(url, 0, 2) == "published"
    assert Artifact.open(open_bucket(url), "runs/r/squares").manifest == before
    assert not list(open_bucket(url).list("runs/r/squares/parts/"))
