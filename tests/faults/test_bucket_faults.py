"""Whole stages against a real S3 server behind a proxy with faults: the same bytes, or a named error."""

from collections.abc import Callable
import json
from pathlib import Path
import sys
import threading
import time
from urllib.parse import unquote

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.job.manifest import MANIFEST
from mura_jobs.job.randomness import numpy_stream
from tests.bucket.proxy import (
    Forward,
    Proxy,
    Request,
    Response,
    ignore_conditions,
    no_fault,
    refuse_conditions,
)
from tests.faults.attempts import STRUCK, Whole, Zygote, copy_inputs, prefix_of, published, unlisted, words
from tests.faults.counts import tally
from tests.faults.planted import PATIENCE, Planted
from tests.servers import ACCESS_KEY, SECRET_KEY, SeaweedFS, seaweedfs

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

SHARE = 0.25
"""Of all requests, those that go wrong."""
ROUNDS = 3
ATTEMPTS = 4
"""An attempt may end with a named error; so many are made until it must have come through."""
NAMED = 1
"""Exit code of an error that another attempt may survive."""


@pytest.mark.parametrize("round_", range(ROUNDS))
@pytest.mark.parametrize("place", STRUCK)
def test_random_faults_change_nothing(  # noqa: PLR0917
    place: str, round_: int, zygote: Zygote, whole: Whole, new_s3: Callable[[str], Bucket], proxy: Proxy
) -> None:
    """Every kind of fault at random, in every kind of request."""
    bucket = new_s3(place)
    planted = Planted(numpy_stream(0, "faults", place, round_), SHARE)
    proxy.fault = planted
    with tally(f"{place} among random faults") as outcomes:
        for _ in range(ATTEMPTS):
            attempt = zygote.start(words(place, bucket.url, "--endpoint", proxy.endpoint), patches=PATIENCE)
            code = attempt.code()
            found = published(bucket, place)
            assert found in (None, whole.objects[place]), attempt.text
            assert code in (0, NAMED), attempt.text
            assert "Traceback" not in attempt.text, attempt.text
            if code == 0:
                break
            outcomes[f"named error: {attempt.events[-1]['error'][:60]}"] += 1
        outcomes["came through with the same bytes"] += 1
    with tally("planted") as counts:
        counts.update(planted.counts)
    assert not [what for what in planted.counts if "ACCEPTED" in what]
    assert found == whole.objects[place]
    proxy.fault = no_fault
    assert unlisted(bucket, place) == []


@pytest.mark.parametrize("place", STRUCK)
def test_a_stage_that_never_hears_that_it_published_knows_it(
    place: str, zygote: Zygote, whole: Whole, new_s3: Callable[[str], Bucket], proxy: Proxy
) -> None:
    """The answer of each conditional put is lost once: what is taken now is taken by itself."""
    bucket = new_s3(place)
    lost: set[str] = set()

    def lose(request: Request, forward: Forward) -> Response | None:
        response = forward(request)
        if "If-None-Match" not in request.headers or request.path in lost:
            return response
        assert response.status == 200
        lost.add(request.path)
        return None

    proxy.fault = lose
    with tally(f"{place}: answers of conditional puts lost") as outcomes:
        attempt = zygote.start(words(place, bucket.url, "--endpoint", proxy.endpoint), patches=PATIENCE)
        assert attempt.code() == 0, attempt.text
        assert [path for path in lost if unquote(path).endswith(f"{prefix_of(place)}/{MANIFEST}")]
        assert published(bucket, place) == whole.objects[place]
        assert unlisted(bucket, place) == []
        outcomes[f"knew {len(lost)} as its own, with the same bytes"] += 1


@pytest.mark.parametrize("place", STRUCK)
def test_a_server_that_is_killed_and_comes_back_is_waited_for(
    place: str, zygote: Zygote, whole: Whole
) -> None:
    """At a random request; what the server had acknowledged is there, and the stage never learns of it."""
    draws = numpy_stream(0, "server killed", place)
    with seaweedfs() as server, Proxy(server.endpoint).running() as proxy:
        bucket = open_bucket(server.make_bucket("killed"), server.endpoint)
        copy_inputs(place, whole.bucket, bucket)
        left, lock, over = int(draws.integers(4, 12)), threading.Lock(), threading.Event()

        def restart() -> None:
            time.sleep(1)
            server.start()
            over.wait()  # a server ends with the thread that started it

        def kill(request: Request, forward: Forward) -> Response | None:
            nonlocal left
            with lock:
                left -= 1
                turn = left == 0
            if turn:
                server.kill()
                threading.Thread(target=restart).start()
                return None
            return forward(request)

        proxy.fault = kill
        with tally(f"{place}: server killed and started again") as outcomes:
            attempt = zygote.start(words(place, bucket.url, "--endpoint", proxy.endpoint))
            try:
                assert attempt.code() == 0, attempt.text
                assert left <= 0
                assert published(bucket, place) == whole.objects[place]
                assert unlisted(bucket, place) == []
            finally:
                over.set()
            outcomes["came through with the same bytes"] += 1


EXPIRED = Response.error(403, "ExpiredToken")


@pytest.mark.parametrize("place", STRUCK)
def test_credentials_that_expire_end_an_attempt_and_new_ones_go_on(
    place: str, zygote: Zygote, whole: Whole, new_s3: Callable[[str], Bucket], proxy: Proxy
) -> None:
    """With exit code 1: a Job is retried, in a pod that has new ones. The message says what to do."""
    bucket = new_s3(place)
    left, lock = int(numpy_stream(0, "expiry", place).integers(3, 10)), threading.Lock()

    def expire(request: Request, forward: Forward) -> Response | None:
        nonlocal left
        with lock:
            left -= 1
            return EXPIRED if left < 0 else forward(request)

    proxy.fault = expire
    with tally(f"{place}: credentials expire") as outcomes:
        attempt = zygote.start(words(place, bucket.url, "--endpoint", proxy.endpoint))
        assert attempt.code() == NAMED, attempt.text
        assert "credentials have expired; renew them and run again" in attempt.text
        assert "Traceback" not in attempt.text
        assert published(bucket, place) is None
        outcomes["named error"] += 1
        proxy.fault = no_fault
        attempt = zygote.start(words(place, bucket.url, "--endpoint", proxy.endpoint))
        assert attempt.code() == 0, attempt.text
        assert published(bucket, place) == whole.objects[place]
        assert unlisted(bucket, place) == []
        outcomes["went on with new ones to the same bytes"] += 1


def test_credentials_that_renew_themselves_go_on(
    zygote: Zygote, whole: Whole, new_s3: Callable[[str], Bucket], proxy: Proxy, tmp_path: Path
) -> None:
    """As a pod's identity does: whoever hands them out is asked again before they expire."""
    place = "train-gan/positive"
    bucket = new_s3(place)
    asked = tmp_path / "asked"
    script = tmp_path / "credentials.py"
    script.write_text(
        f"""
import datetime, json, time
with open({str(asked)!r}, "a") as file:
    file.write("asked\\n")
now = datetime.datetime.now(datetime.timezone.utc)
# botocore asks for new ones ten minutes before they expire
keys = dict(AccessKeyId={ACCESS_KEY!r}, SecretAccessKey={SECRET_KEY!r})
expires = now + datetime.timedelta(seconds=600.5)
print(json.dumps(dict(Version=1, Expiration=expires.isoformat(), **keys)))
"""
    )
    config = tmp_path / "config"
    config.write_text(f"[profile pod]\ncredential_process = {sys.executable} {script}\n")
    environment = {
        "AWS_CONFIG_FILE": str(config),
        "AWS_PROFILE": "pod",
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
    }
    with tally("train-gan/positive: credentials of ten minutes and half a second") as outcomes:
        attempt = zygote.start(
            words(place, bucket.url, "--endpoint", proxy.endpoint), environment=environment
        )
        assert attempt.code() == 0, attempt.text
        assert published(bucket, place) == whole.objects[place]
        times = len(asked.read_text().splitlines())
        assert times > 1
        outcomes[f"renewed while it ran ({times - 1} times), with the same bytes"] += 1


@pytest.mark.parametrize("store", ["answers 501", "ignores it"])
def test_a_store_without_conditional_put_is_refused_before_anything_runs(
    store: str, zygote: Zygote, new_s3: Callable[[str], Bucket], proxy: Proxy, s3_server: SeaweedFS
) -> None:
    """By preflight and by a whole run, with exit code 64 and nothing left."""
    bucket = new_s3("raw/phantom")

    proxy.fault = refuse_conditions if store == "answers 501" else ignore_conditions(s3_server)
    _, *where = words("raw/phantom", bucket.url, "--endpoint", proxy.endpoint)
    with tally(f"a store that {store} (conditional put)") as outcomes:
        for command in ("preflight", "run"):
            attempt = zygote.start([command, *where])
            assert attempt.code() == 64, attempt.text
            assert "If-None-Match: *" in attempt.text
            assert "Traceback" not in attempt.text
            left = [entry.key for entry in bucket.list() if "/events/" not in entry.key]
            assert left == [], json.dumps(left)
            outcomes[f"refused by {command}, exit 64"] += 1
        if store == "answers 501":
            attempt = zygote.start(words("raw/phantom", bucket.url, "--endpoint", proxy.endpoint))
            assert attempt.code() == 64, attempt.text
            assert published(bucket, "raw/phantom") is None
            outcomes["refused by a stage on its own, exit 64"] += 1
