"""The driver: a small pod that opens each Job of a run when what it needs is there.

It keeps no state. What it knows is in the Jobs and in the bucket, every change it makes is a patch of the
version it saw, and a Job is opened once: the driver may die, be there twice or come back later.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any, cast

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket, BucketError
from mura_jobs.cluster.config import DriverConfig
from mura_jobs.cluster.gate import Decision, Gate, decide, needs_of, read_gate
from mura_jobs.cluster.record import record
from mura_jobs.errors import ConfigError, InputError
from mura_jobs.job.events import Events
from mura_jobs.job.manifest import MANIFEST
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.stage import JobOptions
from mura_jobs.stages import RunConfig, plan

NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
RESOURCES = {"Job": ("batch", "v1", "jobs"), "JobSet": ("jobset.x-k8s.io", "v1alpha2", "jobsets")}
"""API group, version and plural of each kind."""
FIELD_MANAGER = "mura-jobs-driver"
"""As whom the API server knows the driver, and names it where Helm would undo what it did."""
CONFLICT = 409
REFUSED = (401, 403, 404)
"""Answers that stay the same however often one asks."""
LONGEST_PAUSE = 30.0


def run(driver: DriverConfig, run_config: RunConfig, options: JobOptions, shutdown: Shutdown) -> None:
    """Open the Jobs of a run one after the other until all are Complete.

    Raises:
        ConfigError: no cluster is configured, or it does not allow what the driver must do.
        InputError: a Job failed, and nothing more can be done without it.
        Stopped: SIGTERM came. Another driver goes on where this one stopped.
    """
    bucket = open_bucket(options.bucket, options.endpoint)
    record(bucket, options.run_id, run_config, replace=options.replace)
    events = Events(bucket, style=options.log, run=options.run_id, instance="driver")
    try:
        Driver(Cluster(driver, options.run_id), bucket, run_config, options.run_id, events).drive(shutdown)
    finally:
        events.close()


class Driver:
    """Looks, decides, acts and waits for a change, again and again."""

    def __init__(
        self, cluster: "Cluster", bucket: Bucket, run_config: RunConfig, run_id: str, events: Events
    ) -> None:
        self._cluster = cluster
        self._bucket = bucket
        self._events = events
        instances = plan(run_config)
        self._needs = needs_of(instances)
        self._manifests = {
            instance.place: f"{instance.stage.prefix(instance.config, run_id)}/{MANIFEST}"
            for instance in instances
        }
        self._published: set[str] = set()
        self._told: set[str] = set()

    def drive(self, shutdown: Shutdown) -> None:
        """Go on until the run is finished, stuck or stopped."""
        stuck_since = None
        for failures in count():
            shutdown.check()
            try:
                gates, version = self._cluster.look()
                failures = 0  # noqa: PLW2901 - the cluster answers again
                decision = self.act(gates)
            except (ApiException, HTTPError, BucketError) as error:
                self._require_temporary(error)
                self._tell("away", f"{error}"[:300])
                sleep(min(2.0**failures, LONGEST_PAUSE))
                continue
            if decision.finished:
                self._events.emit("finished", jobs=len(gates))
                return
            # at first not all Jobs may be there yet: Helm creates them one after the other
            stuck_since = (stuck_since or monotonic()) if decision.stuck else None
            if stuck_since and monotonic() - stuck_since >= self._cluster.poll_seconds:
                raise InputError(_why_stuck(decision))
            self._cluster.wait_for_change(version)

    def act(self, gates: list[Gate]) -> Decision:
        """Open what may start now, and say what changed."""
        self._look_for_manifests()
        for gate in gates:
            if gate.surprise:
                self._tell("warning", f"{gate.name} {gate.surprise}")
        decision = decide(gates, self._needs, self._published)
        for gate in decision.failed:
            self._tell("warning", f"{gate.name} failed")
        for name, absent in decision.waiting.items():
            self._tell("waiting", f"{name} for {', '.join(absent)}")
        for gate in decision.open:
            if self._cluster.open(gate):
                self._events.emit("opened", job=gate.name)
        return decision

    def _look_for_manifests(self) -> None:
        for place, key in self._manifests.items():
            if place not in self._published and self._bucket.exists(key):
                self._published.add(place)

    def _tell(self, kind: str, text: str) -> None:
        """Say something that may stay true for long, once."""
        if text not in self._told:
            self._told.add(text)
            self._events.emit(kind, what=text)

    def _require_temporary(self, error: Exception) -> None:
        """Let pass what may go away by itself."""
        if isinstance(error, BucketError) and error.exit_code != BucketError.exit_code:
            raise error
        if isinstance(error, ApiException) and error.status in REFUSED:
            raise ConfigError(
                f"the API server refuses the driver ({error.status} {error.reason}): it needs list, watch "
                f"and patch on jobs (and jobsets) in its namespace; {(error.body or '')[:300]}"
            ) from error


class Cluster:
    """The Jobs and JobSets of one run in one namespace, as plain JSON, so that any version's will do."""

    def __init__(self, driver: DriverConfig, run_id: str) -> None:
        """Find the API server: the pod's own, or that of kubectl's context.

        Raises:
            ConfigError: there is neither.
        """
        namespace = NAMESPACE.read_text() if NAMESPACE.exists() else "default"
        try:
            if NAMESPACE.exists():
                config.load_incluster_config()
            else:
                config.load_kube_config()
                _, context = config.list_kube_config_contexts()
                namespace = context["context"].get("namespace", namespace)
        except config.ConfigException as error:
            raise ConfigError(f"driver: no cluster: {error}; run it in a pod, or set KUBECONFIG") from None
        self._namespace = driver.namespace or namespace
        self._kinds = ("Job", "JobSet") if driver.jobsets else ("Job",)
        self.poll_seconds = driver.poll_seconds
        self._selector = f"mura-jobs/run={run_id}"
        self._api = client.CustomObjectsApi()

    def look(self) -> tuple[list[Gate], str]:
        """All Jobs and JobSets of the run, and the version of the Jobs from which changes can be watched."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        lists = {
            kind: cast(
                "dict[str, Any]",
                self._api.list_namespaced_custom_object(*self._resource(kind), label_selector=self._selector),
            )
            for kind in self._kinds
        }
        gates = [
            read_gate(item | {"kind": kind}, now)
            for kind, listed in lists.items()
            for item in listed["items"]
            if not _is_of_jobset(item)
        ]
        return gates, lists["Job"]["metadata"]["resourceVersion"]

    def open(self, gate: Gate) -> bool:
        """Open a held Job; False where it changed meanwhile, and must be looked at again."""
        try:
            self._api.patch_namespaced_custom_object(
                *self._resource(gate.kind),
                gate.name,
                dict(gate.opening),
                field_manager=FIELD_MANAGER,
                _content_type="application/merge-patch+json",
            )
        except ApiException as error:
            if error.status == CONFLICT:
                return False
            raise
        return True

    def wait_for_change(self, version: str) -> None:
        """Wait until a Job of the run changes, or until it is time to look at the bucket again.

        A watch that breaks off, or whose version is too old (410), ends: the next look begins afresh.
        """
        try:
            stream = watch.Watch().stream(
                self._api.list_namespaced_custom_object,
                *self._resource("Job"),
                label_selector=self._selector,
                resource_version=version,
                timeout_seconds=self.poll_seconds,
                _request_timeout=(10, self.poll_seconds + 10),
            )
            next(iter(stream), None)
        except (HTTPError, ApiException) as error:
            if isinstance(error, ApiException) and error.status in REFUSED:
                raise
            sleep(1)

    def _resource(self, kind: str) -> tuple[str, str, str, str]:
        group, version, plural = RESOURCES[kind]
        return group, version, self._namespace, plural


def _why_stuck(decision: Decision) -> str:
    if decision.failed:
        names = ", ".join(gate.name for gate in decision.failed)
        return (
            f"{names} failed, and the rest waits for it: see its pods' logs, repair the cause and create the "
            "Jobs anew (another attempt)"
        )
    waits = "; ".join(f"{name} for {', '.join(absent)}" for name, absent in decision.waiting.items())
    return (
        f"nothing runs that could publish what is waited for: {waits}. Its stage is disabled, or its Job "
        "failed and was removed (ttlSeconds): publish it first, or create the Jobs anew (another attempt)"
    )


def _is_of_jobset(job: Mapping[str, Any]) -> bool:
    """Whether a Job is part of a JobSet, which is what is opened."""
    return any(owner["kind"] == "JobSet" for owner in job["metadata"].get("ownerReferences") or [])
