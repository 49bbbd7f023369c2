"""Faults drawn at random and planted into what travels between a stage and its S3 server."""

from collections import Counter
import threading
import time
from xml.etree import ElementTree as ET

import numpy as np

from tests.bucket.proxy import Forward, Request, Response

READ_SECONDS = 1.5
"""How long a client waits for an answer in these tests; a stall takes longer."""
PATIENCE = {
    "mura_jobs.bucket.s3_client:READ_SECONDS": READ_SECONDS,
    "mura_jobs.bucket.s3_client:FIRST_DELAY_SECONDS": 0.02,
}
"""Patches that make a stage wait for shorter times."""

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
BUSY = {500: "InternalError", 503: "SlowDown", 429: "TooManyRequests"}


class Planted:
    """Plants a fault into a share of all requests, and counts what was planted and how flips were met."""

    def __init__(self, draws: np.random.Generator, share: float, kinds: tuple[str, ...] = ()) -> None:
        self.counts: Counter[str] = Counter()
        self._draws = draws
        self._share = share
        self._kinds = kinds
        self._lock = threading.Lock()

    def __call__(self, request: Request, forward: Forward) -> Response | None:
        """What the client gets, None for a connection that breaks off."""
        with self._lock:
            kind = self._draw(request)
            position = int(self._draws.integers(1 << 62))
        if kind is None:
            return forward(request)
        if kind == "stall":
            self._count("stall")
            time.sleep(READ_SECONDS + 0.3)
            return None
        if kind == "reset":
            self._count("reset before the server saw the request")
            return None
        if kind == "lost":
            forward(request)
            conditional = "conditional put" if "If-None-Match" in request.headers else request.method
            self._count(f"lost answer of a {conditional} that was done")
            return None
        if kind == "busy":
            status = list(BUSY)[position % len(BUSY)]
            self._count(f"HTTP {status} with Retry-After")
            response = Response.error(status, BUSY[status])
            response.headers["Retry-After"] = "1"
            return response
        return self._spoil(kind, request, forward, position)

    def _spoil(self, kind: str, request: Request, forward: Forward, position: int) -> Response:
        """Change the bytes of a request or of its answer."""
        if kind == "flip up":
            request.body = flipped(request.body, position)
            response = forward(request)
            what = "part" if "partNumber=" in request.path else "PUT"
            refused = "refused by the server" if response.status >= 400 else "ACCEPTED BY THE SERVER"
            self._count(f"byte flipped in a {what}, {refused}")
            return response
        response = forward(request)
        if response.status not in (200, 206) or len(response.body) < 2:
            return response
        if kind == "truncate":
            self._count("answer truncated")
            response.body = response.body[: len(response.body) // 2]
        elif kind == "flip down":
            self._count(
                "byte flipped in a GET of a range" if "Range" in request.headers else "byte flipped in a GET"
            )
            response.body = flipped(response.body, position)
        elif kind == "reorder":
            self._count("listing reordered")
            response.body = reordered(response.body)
            response.headers["Content-Length"] = str(len(response.body))
        return response

    def _draw(self, request: Request) -> str | None:
        if self._draws.random() >= self._share:
            return None
        listing = "list-type=2" in request.path
        fitting = ["stall", "reset", "busy", "lost"]
        fitting += ["truncate", "reorder"] if listing else []
        fitting += ["truncate", "flip down", "flip down"] if request.method == "GET" and not listing else []
        fitting += ["flip up", "flip up"] if request.method == "PUT" and request.body else []
        fitting = [kind for kind in fitting if not self._kinds or kind in self._kinds]
        return str(self._draws.choice(fitting)) if fitting else None

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1


def flipped(data: bytes, position: int) -> bytes:
    """The same with one bit changed."""
    bit = position % (8 * len(data))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def reordered(listing: bytes) -> bytes:
    """The same entries, last first."""
    ET.register_namespace("", NAMESPACE.strip("{}"))
    tree = ET.fromstring(listing)  # noqa: S314 - our own server's
    entries = tree.findall(f"{NAMESPACE}Contents") + tree.findall("Contents")
    for entry in entries:
        tree.remove(entry)
    for entry in reversed(entries):
        tree.append(entry)
    return ET.tostring(tree)
