"""The images' recipes: linted, locked, and the same stages everywhere."""

import importlib.metadata
from pathlib import Path
import re
import subprocess
import sysconfig

import pytest

from mura_jobs import __version__
from tests.helm.chart import container, jobs, render

IMAGES = Path(__file__).parents[2] / "images"
DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))
BASE = (IMAGES / "base" / "Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    command = [str(hadolint), "--config", str(IMAGES / ".hadolint.yaml"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_chart_asks_for_the_images_that_are_built() -> None:
    built = {path.parent.name for path in DOCKERFILES} - {"base"}
    asked = {container(job)["image"] for job in jobs(render()).values()}
    assert asked == {f"mura-jobs/{name}:{__version__}" for name in built}
    bake = (IMAGES / "docker-bake.hcl").read_text("utf-8")
    (listed,) = re.findall(r"matrix\s*= \{ stage = \[(.*?)\] \}", bake)
    assert set(re.findall(r'"(.*?)"', listed)) == built


def test_pods_start_what_the_image_has() -> None:
    """The chart names its commands in full; they begin with tini as the image's entry point does."""
    assert 'ENTRYPOINT ["tini", "--", "mura-jobs"]' in BASE
    for job in jobs(render()).values():
        assert container(job)["command"][:2] == ["tini", "--"]


def test_the_user_of_the_image_is_the_user_of_the_pod() -> None:
    assert "USER 65532:65532" in BASE


def test_pip_writes_no_byte_code() -> None:
    """What pip compiles carries times, and compileall keeps it: once layers get the commit's, it is stale."""
    installs = re.findall(r"pip --python \S+ install (\S+)", BASE)
    assert installs == ["--no-compile"] * 3
    assert BASE.count("--invalidation-mode unchecked-hash") == 2


def locked(name: str) -> dict[str, str]:
    text = (IMAGES / name).read_text("utf-8")
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+)", text))


@pytest.mark.parametrize("name", ["requirements.lock", "torch-cuda.lock"])
def test_every_locked_package_has_a_hash(name: str) -> None:
    packages = re.split(r"(?m)^(?=[a-z0-9])", (IMAGES / name).read_text("utf-8"))
    assert len(packages) > 10
    assert all("--hash=sha256:" in package for package in packages if package)


def test_the_lock_holds_all_that_mura_jobs_requires() -> None:
    """No requirement is missing, and torch is the version that the Makefile installs for the tests."""
    packages = locked("requirements.lock") | locked("torch-cuda.lock")
    required = importlib.metadata.requires("mura-jobs") or []
    names = {re.split(r"[^A-Za-z0-9-]", line)[0].lower() for line in required if "extra ==" not in line}
    assert names <= packages.keys()
    assert "kubernetes" in packages
    makefile = (IMAGES.parent / "Makefile").read_text("utf-8")
    pins = dict(re.findall(r"\b(torch|torchvision)==(\S+)", makefile))
    assert pins == {name: packages[name] for name in pins}
    cpu = dict(line.split("==") for line in (IMAGES / "torch-cpu.txt").read_text().splitlines())
    assert cpu == {name: f"{version}+cpu" for name, version in pins.items()}
