"""Write what is made from something else: the chart's schema, defaults and README, and jobs/*.yaml.

`python -m helm.generate` writes the files; `--check` only says which are stale, and exits 1 if any is.
"""

from collections.abc import Iterator, Mapping
import json
from pathlib import Path
import re
import sys
from typing import Any

from helm_python import Chart
import yaml

from mura_jobs.classifier.arms import PATTERN as ARM_PATTERN
from mura_jobs.stages import RunConfig

ROOT = Path(__file__).parent.parent
CHART = ROOT / "helm" / "mura-jobs"
STAGES = ("phantom", "preprocess", "train-gan", "synthesize", "train-cnn", "report")


def main() -> int:
    """Write the generated files, or compare them with what they would be."""
    check = sys.argv[1:] == ["--check"]
    stale = []
    for path, text in generated():
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(path)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
    for path in stale:
        sys.stdout.write(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}\n")
    return 1 if check and stale else 0


REPEATS = ("labels", "conditional", "arms", "seeds")
"""What a run says of itself, beside its stages."""


def generated() -> Iterator[tuple[Path, str]]:
    """Every generated file and its text. The Jobs come last: they are rendered from the chart on disk."""
    defaults = RunConfig().plain()
    repeats = {key: defaults[key] for key in REPEATS}
    yield CHART / "values.schema.json", json.dumps(values_schema(), indent=1, ensure_ascii=False) + "\n"
    yield CHART / "files" / "defaults.json", json.dumps(repeats, indent=1) + "\n"
    yield CHART / "README.md", readme()
    for name, text in plain_jobs().items():
        yield ROOT / "jobs" / name, text


def values_schema() -> dict[str, Any]:
    """The chart's own schema with the stages' configurations in their places."""
    schema: dict[str, Any] = yaml.safe_load((ROOT / "helm" / "chart.schema.yaml").read_text("utf-8"))
    run = RunConfig.model_json_schema(by_alias=True)
    pod = schema["properties"]["jobDefaults"]["properties"]
    for section in schema["properties"].values():
        if section.pop("x-pod", False):
            section |= {"type": "object", "additionalProperties": False}
            section["properties"] = section["properties"] | pod
            if "config" in section["properties"]:
                section["properties"]["config"] = _config(run, section["properties"]["config"]["x-config"])
    for key in REPEATS:
        schema["properties"][key] = {"anyOf": [{"type": "null"}, _without_default(run["properties"][key])]}
    # pydantic checks an arm's name by code; Helm needs the grammar
    schema["properties"]["arms"]["anyOf"][1]["items"]["pattern"] = f"^({ARM_PATTERN.pattern})$"
    schema["$defs"] |= run["$defs"]
    return schema


def _config(run: Mapping[str, Any], stage: str) -> dict[str, Any]:
    found = _without_default(run["properties"][stage])
    if "anyOf" in found:
        found = next(option for option in found["anyOf"] if "$ref" in option)
    # a stage that is off may lack what it needs when it is on, which the templates check
    run["$defs"][found["$ref"].rpartition("/")[2]].pop("required", None)
    return found


def _without_default(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in ("default", "title")}


def readme() -> str:
    """The chart's README: its head, and a table of the values that have a comment."""
    head = (ROOT / "helm" / "README.head.md").read_text("utf-8")
    rows = [
        f"| `{key}` | {comment} | `{json.dumps(default, ensure_ascii=False)}` |\n"
        for key, comment, default in documented_values()
    ]
    return head + "\n| value | meaning | default |\n|---|---|---|\n" + "".join(rows)


def documented_values() -> Iterator[tuple[str, str, object]]:
    """Every value with a `# --` comment above it: its path, the comment, the default."""
    text = (CHART / "values.yaml").read_text("utf-8")
    values = yaml.safe_load(text)
    path: list[tuple[int, str]] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- ") or (comment and stripped.startswith("#")):
            comment.append(stripped.removeprefix("# -- ").removeprefix("# "))
        elif match := re.match(r"( *)([\w-]+):", line):
            depth = len(match[1])
            path = [*((level, key) for level, key in path if level < depth), (depth, match[2])]
            if comment:
                default = values
                for _, key in path:
                    default = default[key]
                yield ".".join(key for _, key in path), " ".join(comment).replace("|", "\\|"), default
            comment = []
        else:
            comment = []


def plain_jobs() -> dict[str, str]:
    """The stages' Jobs for kubectl: one file a stage, its parameters in a ConfigMap, and a kustomization."""
    values = yaml.safe_load((ROOT / "helm" / "jobs-values.yaml").read_text("utf-8"))
    with Chart.load(CHART) as chart:
        rendered = chart.render(values, name="mura", namespace="default")
    documents = [
        document
        for name in ("jobs.yaml", "serviceaccount.yaml")
        for document in yaml.safe_load_all(rendered[f"mura-jobs/templates/{name}"])
        if document
    ]
    head = "# Rendered from the chart by `make jobs` from helm/jobs-values.yaml: change them there.\n"
    files: dict[str, str] = {}
    for document in documents:
        labels = document["metadata"]["labels"]
        for name in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
            labels.pop(name, None)
        file = f"{labels.get('mura-jobs/stage', 'service-account')}.yaml"
        files[file] = files.get(file, head) + "---\n" + _dump(document)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(files),
    }
    return files | {"kustomization.yaml": head + _dump(kustomization)}


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as people do."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def _dump(document: object) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110)


if __name__ == "__main__":
    sys.exit(main())
