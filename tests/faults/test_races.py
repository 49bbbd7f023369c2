"""The same stage twice at once: one output, whoever wins, and clocks that are a day apart."""

from collections import Counter
from collections.abc import Callable

import pytest

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.manifest import MANIFEST
from mura_jobs.job.randomness import numpy_stream
from tests.faults.attempts import STRUCK, Attempt, Whole, Zygote, prefix_of, published, unlisted, words
from tests.faults.counts import tally

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

ROUNDS = 5
DAY = 86_400.0
OTHER = {
    "raw/phantom": ("--flaws", "0.5"),
    "preprocess": ("--resolution", "32"),
    "train-gan/positive": ("--gamma", "3.0"),
    "synthesize/positive": ("--psi", "0.5"),
    "train-cnn/real+synthetic/seed-0": ("--epochs", "1"),
    "report": ("--resamples", "300"),
}
"""Flags that make another configuration."""


def head_start(place: str, round_: int, whole: Whole) -> float:
    """Seconds between the two: at most half of what one takes, and in every other round none."""
    draw = numpy_stream(0, "head start", place, round_).uniform(0, whole.seconds[place] / 2)
    return float(draw) * (round_ % 2)


def together(
    zygote: Zygote, first: list[str], second: list[str], seconds: float, clocks: tuple[float, float] = (0, 0)
) -> tuple[Attempt, Attempt]:
    """Two attempts, the second so many seconds after the first."""
    one = zygote.start(first, clock=clocks[0])
    one.ends_within(seconds)
    two = zygote.start(second, clock=clocks[1])
    one.code(), two.code()
    return one, two


def race(
    zygote: Zygote,
    whole: Whole,
    place: str,
    bucket: Bucket,
    command: list[str],
    *,
    seconds: float,
    outcomes: Counter[str],
    clocks: tuple[float, float] = (0, 0),
) -> None:
    """The same command twice: both end well, and leave what one would."""
    one, two = together(zygote, command, command, seconds, clocks)
    assert (one.code(), two.code()) == (0, 0), one.text + two.text
    assert published(bucket, place) == whole.objects[place]
    assert unlisted(bucket, place) == []
    outcomes["both exit 0, one output with the same bytes, nothing beside it"] += 1


@pytest.mark.parametrize("place", STRUCK)
def test_two_attempts_of_one_configuration_give_one_output(
    place: str, zygote: Zygote, whole: Whole, new_folder: Callable[[str], Bucket]
) -> None:
    with tally(f"{place}: twice at once, same configuration") as outcomes:
        for round_ in range(ROUNDS):
            bucket, seconds = new_folder(place), head_start(place, round_, whole)
            race(zygote, whole, place, bucket, words(place, bucket.url), seconds=seconds, outcomes=outcomes)


@pytest.mark.parametrize("place", STRUCK)
def test_two_attempts_at_an_s3_server_give_one_output(
    place: str, zygote: Zygote, whole: Whole, new_s3: Callable[[str], Bucket], s3_endpoint: str
) -> None:
    with tally(f"{place}: twice at once on S3, same configuration") as outcomes:
        for round_ in range(ROUNDS):
            bucket, seconds = new_s3(place), head_start(place, round_, whole)
            command = words(place, bucket.url, "--endpoint", s3_endpoint)
            race(zygote, whole, place, bucket, command, seconds=seconds, outcomes=outcomes)


@pytest.mark.parametrize("place", STRUCK)
def test_of_two_configurations_one_is_published_and_the_other_is_refused(
    place: str, zygote: Zygote, whole: Whole, new_folder: Callable[[str], Bucket]
) -> None:
    """Exit code 64 names the field; the winner's bytes are whole."""
    with tally(f"{place}: twice at once, two configurations") as outcomes:
        for round_ in range(ROUNDS):
            bucket = new_folder(place)
            mine, other = words(place, bucket.url), words(place, bucket.url, *OTHER[place])
            one, two = together(zygote, mine, other, head_start(place, round_, whole))
            assert sorted((one.code(), two.code())) == [0, 64], one.text + two.text
            winner, loser = (one, two) if one.code() == 0 else (two, one)
            assert OTHER[place][0].removeprefix("--").replace("-", "_") in loser.events[-1]["error"]
            found = published(bucket, place)
            assert found is not None
            assert (found == whole.objects[place]) is (winner is one)
            outcomes[f"one output, whole; exit 64 for the {'second' if winner is one else 'first'}"] += 1


@pytest.mark.parametrize("place", ["preprocess", "synthesize/positive"])
def test_the_same_index_twice_at_once_gives_one_output(
    place: str, zygote: Zygote, whole: Whole, new_folder: Callable[[str], Bucket]
) -> None:
    """Kubernetes may start an index again before it has noticed that the first pod still runs."""
    with tally(f"{place}: index 0 of 2 twice and index 1, all at once") as outcomes:
        for _ in range(2 * ROUNDS):
            bucket = new_folder(place)
            shares = [words(place, bucket.url, "--index", str(i), "--count", "2") for i in (0, 0, 1)]
            attempts = [zygote.start(share) for share in shares]
            codes = [attempt.code() for attempt in attempts]
            assert codes == [0, 0, 0], "".join(attempt.text for attempt in attempts)
            assert published(bucket, place) == whole.objects[place]
            assert unlisted(bucket, place) == []
            outcomes["all exit 0, one output with the same bytes, nothing beside it"] += 1


@pytest.mark.parametrize("place", STRUCK)
@pytest.mark.parametrize("clocks", [(DAY, 0), (0, DAY), (-DAY, 0), (0, -DAY)])
def test_clocks_a_day_apart_change_nothing(
    place: str, clocks: tuple[float, float], zygote: Zygote, whole: Whole, new_folder: Callable[[str], Bucket]
) -> None:
    """Two attempts, one of them with its clock a day ahead or behind."""
    with tally(f"{place}: twice at once, one clock a day off") as outcomes:
        bucket = new_folder(place)
        command = words(place, bucket.url)
        race(zygote, whole, place, bucket, command, seconds=0.0, outcomes=outcomes, clocks=clocks)


def test_an_s3_server_says_that_a_clock_is_wrong(
    zygote: Zygote, whole: Whole, new_s3: Callable[[str], Bucket], s3_endpoint: str
) -> None:
    """Signatures hold for minutes: a named error, and a rerun with the right time completes."""
    place = "preprocess"
    with tally(f"{place} on S3: clock a day off") as outcomes:
        for clock in (DAY, -DAY):
            bucket = new_s3(place)
            command = words(place, bucket.url, "--endpoint", s3_endpoint)
            attempt = zygote.start(command, clock=clock)
            assert attempt.code() == 1, attempt.text
            assert "this machine's clock and the store's differ too much" in attempt.text
            assert not bucket.exists(f"{prefix_of(place)}/{MANIFEST}")
            outcomes["named error, exit 1"] += 1
            again = zygote.start(command)
            assert again.code() == 0, again.text
            assert published(bucket, place) == whole.objects[place]
            outcomes["complete with the same bytes when the clock is right"] += 1
