"""Credentials reach the store and nothing else: not logs, objects, scratch, messages or the process list."""

from base64 import b64encode
from collections.abc import Iterator
import json
import os
from pathlib import Path
import subprocess
import sys
import threading
from urllib.parse import quote

import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.errors import ConfigError
from tests.pipeline.runs import command
from tests.servers import SECRET_KEY, SeaweedFS

TOKEN = "mura-session/token+of=one"  # noqa: S105 - of nobody
SECRETS = [SECRET_KEY, TOKEN]
FORMS = [
    form
    for secret in SECRETS
    for form in (secret, quote(secret, safe=""), b64encode(secret.encode()).decode(), secret.encode().hex())
] + ["AWS4-HMAC-SHA256", "Signature="]


def leaks(text: bytes) -> list[str]:
    """Which secrets, or signatures made with them, a text holds in any form."""
    return [form for form in FORMS if form.encode() in text]


class ProcessList(threading.Thread):
    """Reads every process's command line, as `ps` shows it to everyone, again and again."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.seen: set[bytes] = set()

    def run(self) -> None:
        """Look until told to end."""
        while not self.ended.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:  # it has ended
                    continue


@pytest.fixture
def process_list() -> Iterator[ProcessList]:
    watching = ProcessList()
    watching.start()
    yield watching
    watching.ended.set()
    watching.join()


@pytest.mark.faults
@pytest.mark.parametrize("style", ["json", "bar"])
def test_a_run_leaves_no_secret_behind(
    style: str, s3_server: SeaweedFS, new_s3_prefix: object, tmp_path: Path, process_list: ProcessList
) -> None:
    """In any object of it, in what it says, in its temporary files or in the process list."""
    assert callable(new_s3_prefix)
    url = new_s3_prefix()
    arguments = ["--endpoint", s3_server.endpoint, "--scratch", str(tmp_path), "--log", style]
    done = subprocess.run(command(url, *arguments), check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert leaks(done.stdout + done.stderr) == []
    objects = list(
        open_bucket(url, s3_server.endpoint).read_all(
            entry.key for entry in open_bucket(url, s3_server.endpoint).list()
        )
    )
    assert len(objects) > 50
    assert {key: found for key, data in objects if (found := leaks(key.encode() + data))} == {}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert any(b"mura_jobs" in line for line in process_list.seen)
    assert [line for line in process_list.seen if leaks(line)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"AWS_ACCESS_KEY_ID": "nobody"},
        {"AWS_SECRET_ACCESS_KEY": TOKEN},
        {"AWS_SESSION_TOKEN": TOKEN},
        {"AWS_CA_BUNDLE": "/none"},
        {"AWS_PROFILE": "nobody"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_failure_shows_no_secret(wrong: dict[str, str], s3_server: SeaweedFS) -> None:
    """Not even in a traceback."""
    where = [
        "--bucket",
        "s3://tests/none",
        "--endpoint",
        s3_server.endpoint,
        "--run-id",
        "r",
        "--log",
        "json",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "mura_jobs", "train-gan", *where, "--label", "positive"],
        check=False,
        capture_output=True,
        env=os.environ | wrong,
    )
    assert done.returncode != 0
    assert done.stderr
    assert leaks(done.stdout + done.stderr) == []


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (f"s3://key:{SECRET_KEY}@bucket", None),
        (f"s3://key:{SECRET_KEY}@bucket/prefix", None),
        (f"s3://{SECRET_KEY}@bucket", None),
        (f"https://key:{SECRET_KEY}@host/bucket", None),
        ("s3://bucket", f"http://key:{SECRET_KEY}@host:8333"),
        ("s3://bucket", f"http://{SECRET_KEY}@host"),
        ("s3://bucket", f"key:{SECRET_KEY}@host:8333"),
        ("s3://bucket", f"http://key:/{SECRET_KEY}@host"),
        ("s3://bucket", f"http://[{SECRET_KEY}@host"),
        ("file:///tmp", f"http://key:{SECRET_KEY}@host"),
    ],
)
def test_credentials_in_an_address_are_refused_and_not_shown(url: str, endpoint: str | None) -> None:
    with pytest.raises(ConfigError, match="user name or password") as caught:
        open_bucket(url, endpoint)
    assert SECRET_KEY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_chart_names_a_secret_and_holds_none() -> None:
    """Credentials can't even be given to it: its schema has no field for them."""
    from tests.helm.chart import chart, render

    manifests = render({"bucket": {"url": "s3://mura", "existingSecret": "keys"}})
    assert '"keys"' in json.dumps(manifests)
    assert [m["kind"] for m in manifests if m["kind"] == "Secret"] == []
    with pytest.raises(Exception, match="secretKey"):
        chart().render(
            {"bucket": {"url": "s3://mura", "secretKey": SECRET_KEY}}, name="mura", namespace="lab"
        )
