"""The driver with the official client, over HTTP, against a server that behaves as the API server does."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
import threading
import time
from typing import Self

from kubernetes.client.exceptions import ApiException
import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.cluster import driver
from mura_jobs.cluster.config import DriverConfig
from mura_jobs.errors import ConfigError, InputError, Stopped
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.stage import JobOptions
from tests.cluster.api_server import ApiServer, api_server
from tests.cluster.runs import RUN, RUN_ID, publish
from tests.helm.chart import Manifest, jobs, render

VALUES = {"arms": list(RUN.arms), "seeds": RUN.seeds}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    kubeconfig = tmp_path / "kubeconfig"
    # the client's default was read when it was imported
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    with api_server(kubeconfig) as server:
        yield server


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    (tmp_path / "bucket").mkdir()
    return open_bucket((tmp_path / "bucket").as_uri())


def install(api: ApiServer, **values: object) -> dict[str, Manifest]:
    """The chart's Jobs, as `helm install` would create them."""
    found = jobs(render({**VALUES, **values}))
    for manifest in found.values():
        api.put(manifest)
    return found


def drive(bucket: Bucket, shutdown: Shutdown | None = None, **config: object) -> None:
    options = JobOptions(bucket=bucket.url, run_id=RUN_ID, log="json")
    settings = DriverConfig.parse({"poll_seconds": 1, **config})
    driver.run(settings, RUN, options, shutdown or Shutdown())


class Kubelet(threading.Thread):
    """Runs opened Jobs: publishes their outputs and lets them complete, in the order they were opened."""

    def __init__(self, api: ApiServer, bucket: Bucket, fail: tuple[str, ...] = ()) -> None:
        super().__init__(daemon=True)
        self.api = api
        self.bucket = bucket
        self.fail = fail
        self.ran: list[str] = []
        self.quit = threading.Event()

    def run(self) -> None:
        """Until it is told to quit."""
        while not self.quit.wait(0.02):
            for (kind, name), manifest in list(self.api.objects.items()):
                key = manifest["metadata"]["labels"]["mura-jobs/job"]
                held = manifest["spec"].get("suspend") or manifest["spec"].get("parallelism") == 0
                if key == "driver" or held or "status" in manifest:
                    continue
                self.ran.append(key)
                if key in self.fail:
                    self.api.finish(name, "Failed", kind)
                    continue
                for place in manifest["metadata"]["annotations"]["mura-jobs/places"].split():
                    publish(self.bucket, place)
                self.api.finish(name, "Completed" if kind == "JobSet" else "Complete", kind)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.quit.set()
        self.join()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kubeVersion": "1.20.2", "preprocess": {"shards": 1}},
        {"train-gan": {"nodes": 2}, "jobSet": {"enabled": True}},
    ],
    ids=["suspend", "parallelism", "jobset"],
)
def test_a_run_goes_from_the_first_job_to_the_last(
    api: ApiServer, bucket: Bucket, values: dict[str, object]
) -> None:
    found = install(api, **values)
    with Kubelet(api, bucket) as kubelet:
        drive(bucket, jobsets="jobSet" in values)
    assert set(kubelet.ran) == found.keys() - {"driver"}
    assert kubelet.ran[:2] == ["preflight", "preprocess"]
    assert kubelet.ran[-1] == "report"
    # each was opened once, and the preflight and the driver never
    assert sorted(name for name, _ in api.patches) == sorted(
        manifest["metadata"]["name"] for key, manifest in found.items() if key not in ("driver", "preflight")
    )
    assert bucket.exists(f"runs/{RUN_ID}/run.json")


def test_with_kueue_jobs_are_handed_over_and_stay_suspended(api: ApiServer, bucket: Bucket) -> None:
    found = install(api, kueue={"queueName": "radiology"})
    api.finish(found["preflight"]["metadata"]["name"])
    stop = Shutdown()

    def drive_until_stopped() -> None:
        with suppress(Stopped):
            drive(bucket, stop)

    thread = threading.Thread(target=drive_until_stopped)
    thread.start()
    name = found["preprocess"]["metadata"]["name"]
    label = "kueue.x-k8s.io/queue-name"
    wait_for(lambda: api.get("Job", name)["metadata"]["labels"][label] == "radiology")
    stop.requested = True
    thread.join()
    assert api.get("Job", name)["spec"]["suspend"] is True
    others = [m["metadata"]["labels"].get(label) for (_, n), m in api.objects.items() if n != name]
    assert set(others) == {"radiology", "mura-jobs-gate", None}  # preflight, stages, driver
    assert [patched for patched, _ in api.patches] == [name]


def test_another_driver_goes_on_where_one_stopped(api: ApiServer, bucket: Bucket) -> None:
    """Drivers that are stopped all the time leave nothing out and open nothing twice."""
    found = install(api)
    with Kubelet(api, bucket) as kubelet:
        for _ in range(100):
            stop = Shutdown()
            timer = threading.Timer(0.3, setattr, (stop, "requested", True))
            timer.start()
            try:
                drive(bucket, stop)
                break
            except Stopped:
                continue
            finally:
                timer.cancel()
    assert set(kubelet.ran) == found.keys() - {"driver"}
    opened = [name for name, _ in api.patches]
    assert len(opened) == len(set(opened))


def test_two_drivers_at_once_do_no_harm(api: ApiServer, bucket: Bucket) -> None:
    found = install(api)
    with Kubelet(api, bucket) as kubelet:
        threads = [threading.Thread(target=drive, args=(bucket,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(kubelet.ran) == sorted(found.keys() - {"driver"})
    opened = [name for name, _ in api.patches]
    assert len(opened) == len(set(opened)), "the second patch of a version must be refused"


def test_a_failed_job_ends_the_run_when_nothing_else_is_left(api: ApiServer, bucket: Bucket) -> None:
    found = install(api)
    with Kubelet(api, bucket, fail=("train-gan-positive",)) as kubelet, pytest.raises(InputError) as ended:
        drive(bucket)
    assert found["train-gan-positive"]["metadata"]["name"] in str(ended.value)
    assert {"train-gan-negative", "synthesize-negative", "train-cnn-real"} <= set(kubelet.ran)
    assert not {"synthesize-positive", "train-cnn-real-synthetic", "report"} & set(kubelet.ran)


def test_what_nothing_makes_ends_the_run_with_its_name(api: ApiServer, bucket: Bucket) -> None:
    found = install(api, preprocess={"enabled": False})
    with Kubelet(api, bucket) as kubelet, pytest.raises(InputError, match=r"for preprocess\b"):
        drive(bucket)
    assert kubelet.ran == ["preflight"]
    assert "preprocess" not in found


def test_jobs_that_come_late_are_waited_for(api: ApiServer, bucket: Bucket) -> None:
    """Helm creates the driver before most of the others."""
    found = jobs(render(VALUES))

    def put_the_others() -> None:
        for key in found.keys() - {"report"}:
            api.put(found[key])

    late = threading.Timer(0.4, put_the_others)
    api.put(found["report"])
    late.start()
    with Kubelet(api, bucket) as kubelet:
        drive(bucket, poll_seconds=3)
    assert set(kubelet.ran) == found.keys() - {"driver"}


def test_an_api_server_that_is_away_is_waited_for(
    api: ApiServer, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused lists, conflicts, watches too old: a later look puts it right."""
    monkeypatch.setattr(driver, "sleep", lambda _: time.sleep(0.01))
    found = install(api)
    api.refuse = [503, 500, 429]
    with Kubelet(api, bucket) as kubelet:
        api.compacted = api.version + 20
        drive(bucket)
    assert set(kubelet.ran) == found.keys() - {"driver"}
    assert api.watches > 1


@pytest.mark.parametrize("status", [401, 403])
def test_missing_rights_are_not_retried(api: ApiServer, bucket: Bucket, status: int) -> None:
    install(api)
    api.refuse = [status]
    with pytest.raises(ConfigError, match="needs list, watch and patch"):
        drive(bucket)


def test_no_cluster_is_a_wrong_configuration(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = str(tmp_path / "missing")
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", location)
    with pytest.raises(ConfigError, match="set KUBECONFIG"):
        drive(bucket)


def test_a_patch_of_another_version_is_refused(api: ApiServer) -> None:
    """The server in these tests holds drivers to what etcd would."""
    found = install(api)
    cluster = driver.Cluster(DriverConfig(), RUN_ID)
    gates, _ = cluster.look()
    gate = next(gate for gate in gates if gate.places == ("preprocess",))
    api.put(found["preprocess"])
    assert cluster.open(gate) is False
    assert api.patches == []
    with pytest.raises(ApiException):
        cluster.open(replace(gate, name="nothing"))


def wait_for(condition: object) -> None:
    deadline = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
