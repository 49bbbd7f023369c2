"""Kill every stage at random points, run it again: the same bytes, and nothing beside them."""

from collections.abc import Callable
from contextlib import ExitStack
import signal

import pytest

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.randomness import numpy_stream
from tests.faults.attempts import STRUCK, Attempt, Whole, Zygote, published, unlisted, words
from tests.faults.cgroup import MemoryGroup, memory_group
from tests.faults.counts import tally

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

STRIKES = 20
"""Kills of each stage, by each way of killing."""
ENDS = {"SIGKILL": (-signal.SIGKILL,), "SIGTERM": (143, -signal.SIGTERM, 0), "OOM": (-signal.SIGKILL, 1)}
"""Codes with which an attempt ends that was killed so: SIGTERM may come when all that is left is to publish,
and of several processes in a pod the kernel may take one that works for the stage, which says so."""


def run_out_of_memory(attempt: Attempt, group: MemoryGroup) -> None:
    """Take away all room for more until the kernel has killed."""
    while not attempt.ends_within(0.02):
        group.squeeze()
    group.limit(-1 if group._is_v1 else 1 << 40)


def strike(attempt: Attempt, way: str, group: MemoryGroup | None) -> bool:
    """Strike it; whether it was still there."""
    if group is None:
        return attempt.send(signal.Signals[way])
    run_out_of_memory(attempt, group)
    return True


def require_whole(bucket: Bucket, place: str, whole: Whole, attempt: Attempt) -> None:
    """What is published, if anything is, is what an undisturbed run publishes."""
    found = published(bucket, place)
    assert found in (None, whole.objects[place]), attempt.text


@pytest.mark.parametrize("place", STRUCK)
@pytest.mark.parametrize("way", ENDS)
def test_killed_at_random_points_and_run_again_gives_the_same(
    way: str, place: str, zygote: Zygote, whole: Whole, new_folder: Callable[[str], Bucket]
) -> None:
    """Points are uniform over the time that an undisturbed run takes; what survives begins anew."""
    points = numpy_stream(0, "kill", way, place).uniform(0, whole.seconds[place], size=20 * STRIKES)
    with ExitStack() as opened, tally(f"{place}: {way}") as outcomes:
        group = opened.enter_context(memory_group()) if way == "OOM" else None
        kills = 0
        bucket = new_folder(place)
        for point in points.tolist():
            attempt = zygote.start(words(place, bucket.url))
            if group is not None:
                group.add(attempt.pid)
            struck = not attempt.ends_within(point) and strike(attempt, way, group)
            code = attempt.code()
            assert code in ((*ENDS[way], 0) if struck else (0,)), attempt.text
            survived = not struck or (code == 0 and way != "SIGTERM")
            require_whole(bucket, place, whole, attempt)
            if survived:
                outcomes["ended before they were struck, with the same bytes"] += 1
                assert published(bucket, place) == whole.objects[place]
                assert unlisted(bucket, place) == []
                bucket = new_folder(place)
            else:
                kills += 1
                outcomes[f"struck (exit {code})"] += 1
            if kills == STRIKES:
                break
        assert kills == STRIKES
        last = zygote.start(words(place, bucket.url))
        assert last.code() == 0, last.text
        assert published(bucket, place) == whole.objects[place]
        assert unlisted(bucket, place) == []
        outcomes["left alone, with the same bytes"] += 1
