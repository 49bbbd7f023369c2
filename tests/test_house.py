"""The rules of the house that a machine can check."""

import ast
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
import pytest

import mura_jobs
from mura_jobs.cluster.commands import COMMANDS
from mura_jobs.job.config import Config
from mura_jobs.job.manifest import Manifest
from mura_jobs.local import RunOptions
from mura_jobs.stages import EVALUATE, STAGES, RunConfig
from mura_jobs.synthetic.tools import TOOLS

ROOT = Path(mura_jobs.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

STOREYS = [
    "errors",
    "bucket",
    "job",
    "radiographs",
    "features",
    "gan",
    "synthetic",
    "classifier",
    "report",
    "stages",
    "local",
    "cluster",
    "cli",
]
"""Imports only go down: a package may import those before it."""


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mura_jobs."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.split(".")[1] for alias in node.names if alias.name.startswith("mura_jobs.")
            )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path: Path) -> None:
    storey = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if storey in ("__init__", "__main__"):
        return
    above = STOREYS[STOREYS.index(storey) + 1 :]
    assert not set(imported(path)) & set(above)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 320


def test_configuration_alone_needs_no_torch() -> None:
    """Printing help, checking a file and driving a cluster must not take the seconds that torch takes."""
    import subprocess
    import sys

    code = "import sys, mura_jobs.cli; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def configurations(cls: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield cls
    for field in cls.model_fields.values():
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                yield from configurations(candidate)


TOPMOST: list[type[BaseModel]] = [
    RunConfig,
    RunOptions,
    EVALUATE.config_class,
    *(stage.config_class for stage in STAGES),
    *(command.config_class for command in COMMANDS),
    *(tool.config_class for tool in TOOLS),
]
ALL_CONFIGURATIONS = {found for cls in TOPMOST for found in configurations(cls)}


def test_every_field_is_read_by_someone() -> None:
    """No dead options: each field's name is read as an attribute somewhere."""
    read = {
        node.attr
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    read |= {stage.name.replace("-", "_") for stage in STAGES}  # a run's sections are read by their names
    unread = {
        f"{cls.__name__}.{name}"
        for cls in ALL_CONFIGURATIONS
        for name in cls.model_fields
        if name not in read
    }
    assert not unread


def test_every_field_is_documented() -> None:
    every: set[type[BaseModel]] = ALL_CONFIGURATIONS | set(configurations(Manifest))
    bare = {
        f"{cls.__name__}.{name}"
        for cls in every
        for name, field in cls.model_fields.items()
        if not field.description
    }
    assert not bare


def test_every_configuration_is_strict() -> None:
    for cls in ALL_CONFIGURATIONS:
        assert issubclass(cls, Config), cls
        assert cls.model_config["extra"] == "forbid"
        assert cls.model_config["frozen"]
        assert cls.model_config["strict"]


def test_packages_name_their_purpose() -> None:
    for folder in {path.parent for path in MODULES}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))), folder
