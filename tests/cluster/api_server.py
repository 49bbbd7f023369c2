"""As much of a Kubernetes API server as the driver needs, over HTTP: list, watch, patch."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
from pathlib import Path
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

Manifest = dict[str, Any]

_BATCH = {"groupVersion": "batch/v1", "version": "v1"}
_JOBS = {"name": "jobs", "singularName": "job", "namespaced": True, "kind": "Job", "verbs": ["get", "list"]}
_SETS = {"groupVersion": "jobset.x-k8s.io/v1alpha2", "version": "v1alpha2"}
_JOBSETS = _JOBS | {"name": "jobsets", "singularName": "jobset", "kind": "JobSet"}
DISCOVERY: dict[str, Manifest] = {
    "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {"name": "batch", "versions": [_BATCH], "preferredVersion": _BATCH},
            {"name": "jobset.x-k8s.io", "versions": [_SETS], "preferredVersion": _SETS},
        ],
    },
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis/batch/v1": {"kind": "APIResourceList", "groupVersion": "batch/v1", "resources": [_JOBS]},
    f"/apis/{_SETS['groupVersion']}": {
        "kind": "APIResourceList",
        "groupVersion": _SETS["groupVersion"],
        "resources": [_JOBSETS],
    },
}
"""What Helm asks before it looks an object up."""


class ApiServer:
    """Objects with resource versions, as etcd would keep them. `refuse` makes the next requests fail."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.objects: dict[tuple[str, str], Manifest] = {}
        self.version = 100
        self.patches: list[tuple[str, Manifest]] = []
        self.watches = 0
        self.refuse: list[int] = []
        """Status codes with which the next requests are refused."""
        self.compacted = 0
        """Versions up to this one can't be watched from any more."""

    def put(self, manifest: Manifest) -> None:
        """Create or replace an object."""
        with self.changed:
            self.version += 1
            manifest = deepcopy(manifest)
            manifest["metadata"] |= {"resourceVersion": str(self.version), "namespace": "lab"}
            self.objects[manifest["kind"], manifest["metadata"]["name"]] = manifest
            self.changed.notify_all()

    def get(self, kind: str, name: str) -> Manifest:
        """A copy of an object."""
        return deepcopy(self.objects[kind, name])

    def finish(self, name: str, condition: str = "Complete", kind: str = "Job") -> None:
        """Let a Job end."""
        manifest = self.get(kind, name)
        manifest["status"] = {"conditions": [{"type": condition, "status": "True"}]}
        self.put(manifest)

    def patch(self, kind: str, name: str, patch: Manifest) -> tuple[int, Manifest]:
        """Merge a patch into an object of the version that it names: HTTP's status and body."""
        with self.changed:
            current = self.objects.get((kind, name))
            if current is None:
                return 404, _failure(404, "NotFound")
            wanted = patch.get("metadata", {}).get("resourceVersion")
            if wanted and wanted != current["metadata"]["resourceVersion"]:
                return 409, _failure(409, "Conflict")
            self.patches.append((name, patch))
        self.put(_merge(current, patch))
        return 200, self.get(kind, name)


class _Handler(BaseHTTPRequestHandler):
    server_version = "test"
    api: ApiServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self._refused():
            return
        if url.path in DISCOVERY:
            self._answer(200, DISCOVERY[url.path])
            return
        plural, _, wanted = url.path.partition("/namespaces/lab/")[2].partition("/")
        kind = "JobSet" if plural == "jobsets" else "Job"
        if wanted:
            found = self.api.objects.get((kind, wanted))
            self._answer(200, found) if found else self._answer(404, _failure(404, "NotFound"))
            return
        name, _, value = query.get("labelSelector", "").partition("=")

        def matches(manifest: Manifest) -> bool:
            labels = manifest["metadata"]["labels"]
            return bool(manifest["kind"] == kind and (not name or labels.get(name) == value))

        if query.get("watch") in ("true", "True"):
            self._watch(matches, int(query["resourceVersion"]), float(query["timeoutSeconds"]))
            return
        with self.api.changed:
            items = [deepcopy(m) for m in self.api.objects.values() if matches(m)]
            version = str(self.api.version)
        self._answer(200, {"kind": f"{kind}List", "metadata": {"resourceVersion": version}, "items": items})

    def do_PATCH(self) -> None:
        if self._refused():
            return
        assert self.headers["Content-Type"] == "application/merge-patch+json"
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        *_, plural, name = urlsplit(self.path).path.split("/")
        self._answer(*self.api.patch("JobSet" if plural == "jobsets" else "Job", name, patch))

    def _watch(self, matches: Any, version: int, seconds: float) -> None:  # noqa: ANN401 - a predicate
        self.api.watches += 1
        if version <= self.api.compacted:
            self._answer(410, _failure(410, "Expired"))
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()

        def fresh() -> list[Manifest]:
            return [
                m
                for m in self.api.objects.values()
                if matches(m) and int(m["metadata"]["resourceVersion"]) > version
            ]

        with self.api.changed:
            self.api.changed.wait_for(lambda: bool(fresh()), timeout=seconds)
            lines = [json.dumps({"type": "MODIFIED", "object": m}) + "\n" for m in fresh()]
        self.wfile.write("".join(lines).encode())

    def _refused(self) -> bool:
        if not self.api.refuse:
            return False
        status = self.api.refuse.pop(0)
        self._answer(status, _failure(status, "Refused"))
        return True

    def _answer(self, status: int, body: Manifest) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def api_server(kubeconfig: Path) -> Iterator[ApiServer]:
    """A running server, and a kubeconfig that leads to it."""
    api = ApiServer()
    handler = type("Handler", (_Handler,), {"api": api})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        context = {"cluster": "test", "user": "test", "namespace": "lab"}
        config = {
            "clusters": [{"name": "test", "cluster": {"server": address}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
        kubeconfig.write_text(yaml.safe_dump(config))
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()


def _merge(below: Manifest, above: Manifest) -> Manifest:
    merged = dict(below)
    for key, value in above.items():
        merged[key] = _merge(below.get(key) or {}, value) if isinstance(value, dict) else value
    return merged


def _failure(status: int, reason: str) -> Manifest:
    return {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": reason}
