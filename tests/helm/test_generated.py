"""What is made from something else is up to date, and no value is dead."""

import json
from pathlib import Path
import re
import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml

from helm.generate import CHART, ROOT, documented_values, generated, values_schema
from tests.helm.test_manifests import faults


def test_generated_files_are_not_stale() -> None:
    stale = [str(path.relative_to(ROOT)) for path, text in generated() if path.read_text("utf-8") != text]
    assert not stale, f"run `make chart jobs`: {stale}"


def test_jobs_folder_holds_nothing_else() -> None:
    """So that every file is one that kubectl takes, but for the kustomization."""
    expected = {path for path, _ in generated() if path.parent.name == "jobs"}
    assert set((ROOT / "jobs").iterdir()) == expected


def leaves(values: dict[str, Any], path: str = "") -> list[str]:
    return [
        leaf
        for key, value in values.items()
        for leaf in (
            leaves(value, f"{path}{key}.") if isinstance(value, dict) and value else [f"{path}{key}"]
        )
    ]


def test_every_value_is_documented_but_those_that_repeat_jobdefaults() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    documented = {path for path, _, _ in documented_values()}
    pod = set(values["jobDefaults"])
    bare = {
        leaf
        for leaf in leaves(values)
        if not any(leaf == path or leaf.startswith(f"{path}.") for path in documented)
        and leaf.split(".")[1] not in pod
    }
    assert not bare


def test_every_value_is_read_by_a_template() -> None:
    """No dead values: each key's last word stands in some template."""
    templates = "\n".join(path.read_text("utf-8") for path in sorted((CHART / "templates").rglob("*.*")))
    words = set(re.findall(r"[A-Za-z][\w-]*", templates))
    schema = values_schema()["properties"]
    for section, part in schema.items():
        if section == "global":  # Helm's own
            continue
        assert section in words, section
        for key in part.get("properties", {}):
            assert key in words, f"{section}.{key}"


def test_the_schema_knows_every_value() -> None:
    """values.yaml and the schema have the same sections and the same keys."""
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))["properties"]
    assert values.keys() == schema.keys() - {"global"}
    assert values["jobDefaults"].keys() == schema["jobDefaults"]["properties"].keys()


def plain_manifests(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.yaml")), ids=lambda path: path.stem)
def test_plain_jobs_are_valid_restricted_and_open(path: Path) -> None:
    """They apply as they stand: nothing is suspended, every reference is in the same file."""
    if path.stem in ("values", "kustomization"):
        return
    manifests = plain_manifests(path.read_text("utf-8"))
    maps = {m["metadata"]["name"] for m in manifests if m["kind"] == "ConfigMap"}
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.37", strict=True)
        if manifest["kind"] == "Job":
            pod = manifest["spec"]["template"]["spec"]
            assert "suspend" not in manifest["spec"]
            assert faults(pod) == []
            assert {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v} <= maps


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl to build a kustomization")
def test_a_kustomization_overrides_parameters(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    overlay.mkdir()
    patch: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mura-train-gan"}}
    patch["data"] = {"bucket": "s3://elsewhere", "run.yaml": "train-gan: {kimg: 100}"}
    kustomization = {
        "namespace": "lab",
        "resources": ["../jobs"],
        "images": [{"name": "mura-jobs/train-gan", "newName": "registry.example/train-gan", "newTag": "1"}],
        "patches": [{"patch": yaml.safe_dump(patch)}],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    built = subprocess.run(
        ["kubectl", "kustomize", str(overlay)], check=True, capture_output=True, text=True
    ).stdout
    manifests = {(m["kind"], m["metadata"]["name"]): m for m in plain_manifests(built)}
    assert manifests["ConfigMap", "mura-train-gan"]["data"]["bucket"] == "s3://elsewhere"
    job = manifests["Job", "mura-train-gan-positive"]
    assert job["metadata"]["namespace"] == "lab"
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example/train-gan:1"
