"""The make targets for images and clusters: documented, and what they run is there."""

from pathlib import Path
import re
import subprocess

from tests.helm.chart import CHART

TARGETS = CHART.parent / "targets.mk"
LOCAL = ["minikube-up", "minikube-load", "minikube-run", "minikube-report", "minikube-down"]
RELEASE = ["install", "status", "logs", "report", "uninstall"]
IMAGES = ["images", "images-lint", "images-reproducible", "images-test"]
WANTED = ["chart", "jobs", "lock", *IMAGES, "cluster-test", *LOCAL, *RELEASE]


def make(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Make with the targets alone, from the repository's root."""
    file = tmp_path / "Makefile"
    file.write_text(
        f"VENV := {tmp_path}\nBIN := .venv/bin\n{tmp_path}/installed:\n\ttrue\ninclude {TARGETS}\n"
    )
    command = ["make", "--file", str(file), "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=CHART.parents[1], capture_output=True, text=True, check=False)


def test_every_target_is_documented() -> None:
    documented = re.findall(r"(?m)^([a-z -]+):.*## \S", TARGETS.read_text("utf-8"))
    assert sorted(" ".join(documented).split()) == sorted(WANTED)


def test_every_target_can_be_planned(tmp_path: Path) -> None:
    """`make --dry-run` finds no missing rule or variable, and the files that are named exist."""
    for target in WANTED:
        done = make(tmp_path, "--dry-run", target)
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stderr
        for path in re.findall(
            r"(?:images|helm)/[\w./-]+\.(?:py|yaml|hcl)|images/[\w-]+/Dockerfile", done.stdout
        ):
            assert (CHART.parents[1] / path).exists(), path


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    done = make(tmp_path, "uninstall", "PATH=/nowhere", "SHELL=/bin/sh")
    assert done.returncode != 0
    assert "helm is missing: install Helm" in done.stdout
