"""An HTTP proxy between a client and a real S3 server, whose faults are functions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import http.client
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import threading
from urllib.parse import urlsplit

from tests.servers import SeaweedFS


@dataclass
class Request:
    """What the client sent. The names of headers are capitalised: Content-Type."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Response:
    """What the server answered, and the client gets."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def error(cls, status: int, code: str) -> "Response":
        """An S3 error."""
        body = f"<Error><Code>{code}</Code><Message>planted</Message></Error>".encode()
        return cls(status, {"Content-Length": str(len(body)), "Content-Type": "application/xml"}, body)


Forward = Callable[[Request], Response]
Fault = Callable[[Request, Forward], Response | None]
"""Gets a request and the way to the server; None closes the connection without an answer."""


def no_fault(request: Request, forward: Forward) -> Response | None:
    """What goes in comes out."""
    return forward(request)


def refuse_conditions(request: Request, forward: Forward) -> Response | None:
    """A store without conditional puts."""
    return Response.error(501, "NotImplemented") if "If-None-Match" in request.headers else forward(request)


def ignore_conditions(server: SeaweedFS) -> Fault:
    """A store that puts whatever the condition says; its objects lie in `server`."""

    def ignore(request: Request, forward: Forward) -> Response | None:
        if "If-None-Match" not in request.headers:
            return forward(request)
        _, name, key = request.path.split("/", 2)
        server.client().put_object(Bucket=name, Key=key, Body=request.body)
        return Response(200, {"Content-Length": "0", "ETag": '"etag"'}, b"")

    return ignore


class Proxy:
    """A running proxy: set `fault` to plant one."""

    def __init__(self, target: str) -> None:
        self.fault: Fault = no_fault
        self.requests: list[Request] = []
        self._target = urlsplit(target).netloc
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.title(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, body)
                proxy.requests.append(request)
                try:
                    response = proxy.fault(request, proxy.forward)
                except (OSError, http.client.HTTPException):
                    response = None
                if response is None:
                    self.close_connection = True
                    return
                self.send_response_only(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(response.body)
                length = int(response.headers.get("Content-Length", 0))
                self.close_connection = self.command != "HEAD" and len(response.body) < length

            def log_message(self, *_: object) -> None:
                pass

        for method in ("GET", "PUT", "POST", "DELETE", "HEAD"):
            setattr(Handler, f"do_{method}", Handler.handle_any)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def forward(self, request: Request) -> Response:
        """Pass a request to the server as it is (its signature covers the Host header)."""
        connection = http.client.HTTPConnection(self._target, timeout=30)
        try:
            headers = {name: value for name, value in request.headers.items() if name != "Expect"}
            connection.request(request.method, request.path, request.body, headers)
            answer = connection.getresponse()
            body = answer.read()
            headers = dict(answer.getheaders())
            headers.pop("Transfer-Encoding", None)
            headers.setdefault("Content-Length", str(len(body)))
            return Response(answer.status, headers, body)
        finally:
            connection.close()

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Serve until the end of the block."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
