"""Hostile names: script that reaches the report, links that lead out, bytes that are no text."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
import json
import os
from pathlib import Path
import subprocess
import sys
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from mura_jobs.bucket.base import BucketError, ObjectMissing
from mura_jobs.bucket.local import LocalBucket
from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact
from mura_jobs.radiographs.config import PreprocessConfig
from mura_jobs.stages import PREPROCESS
from tests.faults.test_input_archives import read_zip
from tests.radiographs.drawing import run_stage
from tests.radiographs.trees import mura_tree, png, put, zipped
from tests.report.toy_run import Images, ToyRun

SCRIPT = "<script>alert(1)<\\script>"  # a slash would divide a key
ATTRIBUTE = "\" onerror='alert(1)' x=\"&lt;]]>$x^{"
TEMPLATE = "{{ 7 * 7 }}{% raw %}${7*7}"


@dataclass(frozen=True)
class HostileRun(ToyRun):
    """A run whose every name is out to break the page."""

    patient_name: str = f"{SCRIPT}\" onerror='alert(1)' {{:05d}}"
    data_set: str = f"{SCRIPT}{ATTRIBUTE}{TEMPLATE}</title></style>"

    def radiographs(self) -> tuple[pd.DataFrame, Images]:
        """Body parts and studies as well."""
        index, images = super().radiographs()
        index["study"] += SCRIPT + TEMPLATE
        index["body_part"] = [f"XR{SCRIPT}{ATTRIBUTE}{TEMPLATE}{number % 2}" for number in range(len(index))]
        return index, images

    def flaws(self) -> dict[str, object]:
        """Warnings and unreadable files, which are shown with their keys and reasons."""
        bad = f"{SCRIPT}{ATTRIBUTE}{TEMPLATE}</code>"
        return {"unreadable": {bad: bad}, "warnings": [bad]}


class Page(HTMLParser):
    """Elements, attributes and addresses of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found = Counter[tuple[str, tuple[str, ...]]]()
        self.values: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count an element with its attributes."""
        self.found[tag, tuple(name for name, _ in attrs)] += 1
        self.values += [value or "" for name, value in attrs if name in ("href", "src", "style")]

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data


def test_no_name_becomes_an_element_of_the_report(tmp_path: Path) -> None:
    """Elements and attributes are those of a run with harmless names; the names are there, as text."""
    reports = {}
    for kind in (ToyRun, HostileRun):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        toy = kind(LocalBucket(folder), arms=("real", "real+synthetic"), seeds=1, patients=60, copies=2)
        toy.publish()
        reports[kind] = toy.report(tmp_path / "scratch")
    pages = {kind: Page(report.read("index.html").decode()) for kind, report in reports.items()}
    hostile, harmless = pages[HostileRun], pages[ToyRun]
    assert hostile.found.keys() - harmless.found.keys() <= {("code", ()), ("ul", ()), ("li", ())}
    assert not [name for _, names in hostile.found for name in names if name.startswith("on")]
    assert not {tag for tag, _ in hostile.found} & {
        "script",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "svg",
    }
    for value in hostile.values:
        assert value.startswith(("#", "data:image/", "--share: "))
    for name in (SCRIPT, TEMPLATE, "onerror='alert(1)'"):
        assert name in hostile.text
    assert "49" not in [word.strip("${}") for word in hostile.text.split() if "7*7" in word]
    for name in reports[HostileRun].names:
        if name.endswith(".svg"):
            drawing = ET.fromstring(reports[HostileRun].read(name))  # noqa: S314 - our own
            assert not [e for e in drawing.iter() if e.tag.endswith(("script", "foreignObject"))]
            assert not [a for e in drawing.iter() for a in e.attrib if a.startswith("on")]
    json.loads(reports[HostileRun].read("report.json"))


@pytest.fixture
def bucket(tmp_path: Path) -> LocalBucket:
    (tmp_path / "bucket").mkdir()
    return LocalBucket(tmp_path / "bucket")


def preprocess(bucket: LocalBucket, **settings: object) -> Artifact:
    given = {"source": "raw/m", "resolution": 16, "body_parts": ["all"], "select_fraction": 0.3} | settings
    return run_stage(PREPROCESS, PreprocessConfig.parse(given), bucket)


def test_links_in_a_folder(bucket: LocalBucket, tmp_path: Path) -> None:
    """What its owner links to is read; what never ends, or leads nowhere, is not there."""
    (tmp_path / "outside.png").write_bytes(png(1))
    folder = bucket.folder / "raw"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    (folder / "zeros").symlink_to("/dev/zero")
    (folder / "nowhere").symlink_to(tmp_path / "none")
    os.mkfifo(folder / "pipe")
    assert [entry.key for entry in bucket.list()] == ["raw/link.png"]
    assert bucket.read("raw/link.png") == png(1)
    for key in ("raw/zeros", "raw/nowhere", "raw/pipe"):
        with pytest.raises(ObjectMissing):
            bucket.read(key)
    bucket.write("raw/link.png", b"new")
    assert (tmp_path / "outside.png").read_bytes() == png(1)
    (folder / "loop").symlink_to(folder)
    with pytest.raises(BucketError, match="leads back"):
        list(bucket.list())


def test_a_name_that_is_no_text_is_named(bucket: LocalBucket) -> None:
    """A file in the tree whose name is not UTF-8: exit 65 and a record, not a crash on the way to it."""
    put(bucket, "raw/m", mura_tree(8))
    folder = os.fsencode(bucket.folder / "raw/m/MURA-v1.1/train")
    with open(folder + b"/\xff\xfe.png", "wb") as file:  # noqa: PTH123 - no Path holds it
        file.write(png(1))
    where = ["--bucket", bucket.url, "--run-id", "r", "--log", "json"]
    what = ["--source", "raw/m", "--resolution", "16"]
    done = subprocess.run(
        [sys.executable, "-m", "mura_jobs", "preprocess", *where, *what], check=False, capture_output=True
    )
    assert done.returncode == InputError.exit_code, done.stderr
    assert b"1 files are not listed as images" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b'"failed"' in bucket.read("runs/r/events/preprocess-0.jsonl")


@pytest.mark.parametrize("name", ["a\x1b[2J.png", "a\nb.png", "a\rb.png", "//a.png", "./a.png", "a/./b.png"])
def test_a_zip_with_names_that_no_key_has_is_refused(name: str, bucket: LocalBucket) -> None:
    with pytest.raises(InputError, match=r"leads out|name"):
        read_zip(bucket, zipped({name: b"1"}))


def test_names_of_a_data_set_are_data_everywhere(bucket: LocalBucket) -> None:
    """Spaces, quotes, commas, formulas and script in file names come back from the index as they were."""
    names = [
        "=cmd|'!A1.png",
        'a,b"c.png',
        "<img src=x onerror=alert(1)>.png",
        "%41 $(id) `id`.png",
        "é日本.png",
    ]
    lines = ["path,label,patient,study,split"]
    files: dict[str, bytes] = {}
    for number in range(16):
        name = names[number % 5].replace(".png", f"{number}.png")
        split, label = ("train", "select", "test")[number % 3], ("positive", "negative")[number // 3 % 2]
        quoted = name.replace('"', '""')
        lines.append(f'"{quoted}",{label},p{number},s,{split}')
        files[name] = png(number, (40, 40))
    put(bucket, "raw", files | {"table.csv": "\n".join(lines).encode()})
    index = pd.read_parquet(bucket.folder / _key(preprocess(bucket, source="raw/table.csv"), "index.parquet"))
    assert set(index["key"]) == set(files)


def _key(artifact: Artifact, name: str) -> str:
    stored: Mapping[str, object] = artifact.manifest.objects
    return f"{artifact.prefix}/{artifact.manifest.objects[name].key}" if name in stored else ""
