"""Two attempts at once whose requests come to the server in an order that is planned, or left to chance."""

from collections.abc import Callable, Iterator
import threading

import numpy as np
import pytest

from mura_jobs.bucket.base import Bucket
from mura_jobs.job.randomness import numpy_stream
from tests.bucket.proxy import Fault, Forward, Proxy, Request, Response
from tests.faults.attempts import STRUCK, Attempt, Whole, Zygote, published, unlisted, words
from tests.faults.counts import tally

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

ROUNDS = 10


def decides(request: Request) -> bool:
    """Whether it is a conditional put, which one attempt wins."""
    return "If-None-Match" in request.headers


class Stops:
    """Stops an attempt before and after its `number`-th conditional put, until it is told to go on."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.came = {"before": threading.Event(), "after": threading.Event()}
        self.goes = {"before": threading.Event(), "after": threading.Event()}

    def __call__(self, request: Request, forward: Forward) -> Response:
        """Let pass all others."""
        self.left -= decides(request)
        if self.left or not decides(request):
            return forward(request)
        self._stop("before")
        answer = forward(request)
        self._stop("after")
        return answer

    def _stop(self, when: str) -> None:
        self.came[when].set()
        self.goes[when].wait()

    def let(self, attempt: Attempt, *, come: str) -> None:
        """Let it come to the stop before or after that put, or to its end with fewer."""
        if come == "after":
            self.goes["before"].set()
        while not (self.came[come].wait(0.01) or attempt.ends_within(0)):
            pass

    def end(self, attempt: Attempt) -> int:
        """Let it go on to its end; its exit code."""
        for go in self.goes.values():
            go.set()
        return attempt.code()


class Turns:
    """Lets one attempt's requests through while the other's wait, and after each decides who goes on.

    A conditional put is where they most often take turns.
    """

    def __init__(self, draws: np.random.Generator) -> None:
        self.draws = draws
        self.turn = 0
        self.at_work = {0, 1}
        self.changed = threading.Condition()

    def of(self, who: int) -> Fault:
        """What stands between an attempt and the server."""

        def take_turn(request: Request, forward: Forward) -> Response:
            if "/events/" in request.path:  # the record of events is each attempt's own affair
                return forward(request)
            with self.changed:
                self.changed.wait_for(lambda: self.turn == who or 1 - who not in self.at_work)
                answer = forward(request)
                if self.draws.random() < (0.5 if decides(request) else 0.1):
                    self.turn = 1 - who
                    self.changed.notify_all()
            return answer

        return take_turn

    def ended(self, who: int) -> None:
        """An attempt has no more requests: the other need not wait for it."""
        with self.changed:
            self.at_work.discard(who)
            self.changed.notify_all()


@pytest.fixture
def proxies(s3_endpoint: str) -> Iterator[tuple[Proxy, Proxy]]:
    """One for each attempt."""
    with Proxy(s3_endpoint).running() as one, Proxy(s3_endpoint).running() as another:
        yield one, another


@pytest.mark.parametrize("place", STRUCK)
def test_an_attempt_that_loses_and_sleeps_while_the_winner_ends_ends_well(
    place: str, zygote: Zygote, whole: Whole, new_s3: Callable[[str], Bucket], proxies: tuple[Proxy, Proxy]
) -> None:
    """At each conditional put: the place was free, is taken, and what the winner put there is gone again."""

    def start(bucket: Bucket, proxy: Proxy) -> Attempt:
        return zygote.start(words(place, bucket.url, "--endpoint", proxy.endpoint))

    undisturbed = start(new_s3(place), proxies[0])
    assert undisturbed.code() == 0, undisturbed.text
    puts = sum(map(decides, proxies[0].requests))
    with tally(f"{place}: twice at once, the loser of each conditional put asleep") as outcomes:
        for number in range(1, puts + 1):
            bucket, stops = new_s3(place), (Stops(number), Stops(number))
            proxies[0].fault, proxies[1].fault = stops
            loser = start(bucket, proxies[0])
            stops[0].let(loser, come="before")
            winner = start(bucket, proxies[1])
            stops[1].let(winner, come="after")
            stops[0].let(loser, come="after")
            assert stops[1].end(winner) == 0, winner.text
            assert stops[0].end(loser) == 0, f"conditional put {number} of {puts}: {loser.text}"
            assert published(bucket, place) == whole.objects[place]
            assert unlisted(bucket, place) == []
            outcomes["both exit 0, one output with the same bytes, nothing beside it"] += 1


@pytest.mark.parametrize("place", STRUCK)
def test_attempts_that_take_turns_at_random_give_one_output(
    place: str, zygote: Zygote, whole: Whole, new_s3: Callable[[str], Bucket], proxies: tuple[Proxy, Proxy]
) -> None:
    """What one had found there may be gone when it goes on, and what was not there may be published."""
    draws = numpy_stream(0, "turns", place)
    with tally(f"{place}: twice at once, requests in turns that chance decides") as outcomes:
        for _ in range(ROUNDS):
            bucket, turns = new_s3(place), Turns(draws)
            for who, proxy in enumerate(proxies):
                proxy.fault = turns.of(who)
            attempts = [
                zygote.start(words(place, bucket.url, "--endpoint", proxy.endpoint)) for proxy in proxies
            ]
            while turns.at_work:
                for who in sorted(turns.at_work):
                    if attempts[who].ends_within(0.01):
                        turns.ended(who)
            codes = [attempt.code() for attempt in attempts]
            assert codes == [0, 0], "".join(attempt.text for attempt in attempts)
            assert published(bucket, place) == whole.objects[place]
            assert unlisted(bucket, place) == []
            outcomes["both exit 0, one output with the same bytes, nothing beside it"] += 1
