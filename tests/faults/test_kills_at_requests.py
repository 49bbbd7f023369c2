"""Kill every stage while it changes the bucket: at a random one of its writing requests to an S3 server."""

from collections.abc import Callable
import os
import signal
import threading

import pytest

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.randomness import numpy_stream
from tests.bucket.proxy import Forward, Proxy, Request, Response, no_fault
from tests.faults.attempts import STRUCK, Attempt, Whole, Zygote, published, unlisted, words
from tests.faults.counts import tally

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

STRIKES = 20


def is_writing(request: Request) -> bool:
    return request.method in ("PUT", "POST", "DELETE")


class Executioner:
    """Kills the process behind the `number`-th writing request, before or after the server has done it."""

    def __init__(self, number: int, *, done: bool) -> None:
        self.left = number
        self.done = done
        self.pid = 0
        self.knows_whom = threading.Event()
        self.lock = threading.Lock()
        self.struck = False

    def __call__(self, request: Request, forward: Forward) -> Response | None:
        """Let pass what is not its turn."""
        with self.lock:
            self.left -= is_writing(request)
            strikes = self.left == 0 and not self.struck and is_writing(request)
            self.struck |= strikes
        if not strikes:
            return forward(request)
        if self.done:
            forward(request)
        self.knows_whom.wait()
        os.kill(self.pid, signal.SIGKILL)
        return None

    def await_death_of(self, attempt: Attempt) -> int:
        """Its exit code."""
        self.pid = attempt.pid
        self.knows_whom.set()
        return attempt.code()


@pytest.mark.parametrize("place", STRUCK)
def test_killed_at_random_requests_and_run_again_gives_the_same(
    place: str, zygote: Zygote, whole: Whole, new_s3: Callable[[str], Bucket], proxy: Proxy
) -> None:
    """They are uniform over those that an undisturbed run sends; of half of them only the answer is lost."""
    bucket = new_s3(place)
    undisturbed = zygote.start(words(place, bucket.url, "--endpoint", proxy.endpoint))
    assert undisturbed.code() == 0, undisturbed.text
    assert published(bucket, place) == whole.objects[place]
    requests = sum(map(is_writing, proxy.requests))
    draws = numpy_stream(0, "kill at a request", place)
    bucket = new_s3(place)
    kills = 0
    with tally(f"{place}: SIGKILL at one of {requests} writing requests") as outcomes:
        while kills < STRIKES:
            done = bool(draws.integers(2))
            executioner = Executioner(int(draws.integers(1, requests + 1)), done=done)
            proxy.fault = executioner
            attempt = zygote.start(words(place, bucket.url, "--endpoint", proxy.endpoint))
            code = executioner.await_death_of(attempt)
            proxy.fault = no_fault
            found = published(bucket, place)
            assert found in (None, whole.objects[place]), attempt.text
            if executioner.struck:
                assert code == -signal.SIGKILL, attempt.text
                kills += 1
                state = "nothing" if found is None else "all"
                outcomes[f"killed {'after' if done else 'before'} the server did it, {state} published"] += 1
            else:
                assert code == 0, attempt.text
                assert found == whole.objects[place]
                outcomes["ended with fewer requests, with the same bytes"] += 1
                assert unlisted(bucket, place) == []
                bucket = new_s3(place)
        last = zygote.start(words(place, bucket.url, "--endpoint", proxy.endpoint))
        assert last.code() == 0, last.text
        assert published(bucket, place) == whole.objects[place]
        assert unlisted(bucket, place) == []
        outcomes["left alone, with the same bytes"] += 1
