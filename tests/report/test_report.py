from collections import Counter
from html.parser import HTMLParser
import io
from itertools import pairwise
import json
from pathlib import Path
import re
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
import pytest

from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import InputError
from mura_jobs.job.artifact import Artifact
from mura_jobs.radiographs.packed import parquet_bytes
from mura_jobs.report.page import duration, size
from mura_jobs.report.pictures import overlay_pairs
from mura_jobs.report.statistics import scores
from tests.report.toy_run import ToyRun


class Page(HTMLParser):
    """What the tests look at: tags with their attributes, text by section, nesting."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """An element ends: the one that began last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Text, unless it is style."""
        if "style" not in self.open:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of all elements of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="session")
def page(report: Artifact) -> Page:
    return Page(report.read("index.html").decode())


@pytest.fixture(scope="session")
def facts(report: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report.read("report.json"))
    return found


def test_the_page_needs_nothing_but_itself(report: Artifact, page: Page) -> None:
    """No script, no address outside the file, and a policy that forbids both."""
    html = report.read("index.html").decode()
    assert not page.all("script")
    assert not page.all("link")
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), value
    assert "@import" not in html
    assert not re.search(r"url\(", html)
    policy = next(meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'")


def test_every_picture_has_words_and_every_header_cell_a_scope(page: Page) -> None:
    assert len(page.all("img")) > 20
    for image in page.all("img"):
        assert (image["alt"] or "").strip()
    for header in page.all("th"):
        assert header.get("scope") in ("col", "row", "rowgroup")
    assert page.all("html")[0]["lang"] == "en"


def test_headings_descend_without_gaps_and_links_arrive(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert not [name for name, times in Counter(ids).items() if times > 1]
    for link in page.all("a"):
        assert (link["href"] or "").removeprefix("#") in ids


def test_scrolling_tables_are_reachable_by_keyboard_and_named(page: Page) -> None:
    regions = [a for tag, a in page.tags if tag == "div" and a.get("class") == "scroll"]
    assert regions
    for region in regions:
        assert region["tabindex"] == "0"
        assert region["role"] == "region"
        assert region["aria-label"]


def test_scores_are_those_of_the_stored_predictions(published: ToyRun, facts: dict[str, Any]) -> None:
    """Recomputed from one classifier's file, over images and over studies."""
    table = pd.read_parquet(
        published.open("train-cnn/real+synthetic/seed-1").fetch(
            "predictions.parquet", Path(published.bucket.url[7:])
        )
    )
    test = table[table["split"] == "test"]
    studies = test.groupby("study").agg(label=("label", "first"), probability=("probability", "mean"))
    arm = next(arm for arm in facts["arms"] if arm["arm"] == "real+synthetic")
    for unit, rows in (("image", test), ("study", studies)):
        expected = scores((rows["label"] == "positive").to_numpy(), rows["probability"].to_numpy(), 0.5)
        for metric, value in expected.items():
            found = arm[unit]["scores"][metric]
            assert found["seeds"][1] == pytest.approx(value)
            assert found["value"] == pytest.approx(np.mean(found["seeds"]))
            assert found["low"] < found["value"] < found["high"]
    assert facts["test_set"]["studies"] == len(studies)


def test_effects_are_paired_differences_of_seeds(facts: dict[str, Any]) -> None:
    arms = {arm["arm"]: arm["study"]["scores"]["auroc"]["seeds"] for arm in facts["arms"]}
    for row in facts["comparisons"] + facts["control_comparisons"]:
        expected = np.subtract(arms[row["arm"]], arms[row["baseline"]])
        assert row["seed_effects"] == pytest.approx(expected)
        assert row["effect"] == pytest.approx(expected.mean())
    assert [row["baseline"] for row in facts["control_comparisons"]] == ["real-duplicated"]


def numbers(value: object) -> set[str]:
    """Every number that JSON holds, in every way the page prints numbers; digits of strings too."""
    match value:
        case dict():
            return set().union(*(numbers(key) | numbers(item) for key, item in value.items()))
        case list():
            return set().union(set(), *map(numbers, value), {f"{len(value):,}"})
        case bool() | None:
            return set()
        case int() | float():
            plain = {
                f"{abs(value):.3f}",
                f"{abs(value):,.1f}",
                f"{round(abs(value)):,}",
                f"{value:.0%}"[:-1],
                f"{value:g}",
            }
            return plain | set(re.findall(r"[\d.,]*\d", duration(abs(value)) + " " + size(abs(value))))
        case _:
            return set(re.findall(r"[\d.,]*\d", str(value)))


def test_every_number_of_the_page_is_in_report_json(page: Page, facts: dict[str, Any]) -> None:
    prose = (
        "1960",
        "1988",
        "1995",
        "2007",
        "2009",
        "2013",
        "2014",
        "2017",
        "0.001",
        "0",
        "1",
    )  # the method's references
    arithmetic = {f"{len(facts['arms']) * facts['config']['seeds']}", "0.050"}
    for table in facts["arms"]:
        cells = table["study"]["confusion_mean"]
        for first, second in (("tp", "fn"), ("fp", "tn")):
            total = cells[first] + cells[second]
            arithmetic |= {f"{cells[cell] / total:.0%}"[:-1] for cell in (first, second)}
    known = numbers(facts) | set(prose) | arithmetic
    shown = set(re.findall(r"(?<![\w.])\d[\d.,]*(?![\w])", " ".join(page.text)))
    assert len(shown) > 100
    assert not {number for number in shown if number.rstrip(".,") not in known}


def test_figures_lie_beside_the_page_and_in_it(report: Artifact, page: Page) -> None:
    figures = [name for name in report.names if name.startswith("figures/")]
    assert len(figures) == len(page.all("img"))
    assert {"figures/forest.svg", "figures/real-positive.png", "figures/cleaning.png"} <= set(figures)


def test_maps_of_the_compared_arms_are_shown_with_what_they_are_of(
    published: ToyRun, report: Artifact, facts: dict[str, Any]
) -> None:
    """Of baseline and lead, and every image of every kind of call is named in report.json."""
    lead = facts["verdict"]["lead"]
    assert [one["arm"] for one in facts["attention"]] == [lead["baseline"], lead["arm"]]
    for one in facts["attention"]:
        stored = published.open(one["classifier"])
        chosen = pd.read_parquet(io.BytesIO(stored.read("gradcam.parquet")))
        assert [image["key"] for image in one["images"]] == chosen["key"].tolist()
        for call in chosen["call"].unique():
            assert f"figures/attention-{one['arm']}-{call.replace(' ', '-')}.png" in report.names


def test_distances_of_generators_are_drawn(report: Artifact) -> None:
    assert "figures/generator-positive-frechet-distance.svg" in report.names
    assert "efficientnet-lite0 ends at 5" in report.read("index.html").decode()


def test_an_overlay_of_no_evidence_is_the_image() -> None:
    """And the strongest place is coloured, in the right tile."""
    images = np.full((3, 16, 16), 100, np.uint8)
    maps = np.zeros((3, 16, 16), np.uint8)
    maps[1, 4, 12] = 255
    sheet = np.asarray(Image.open(io.BytesIO(overlay_pairs(images, maps, 16)))).astype(int)
    assert sheet.shape == (2 * 16 + 2, 4 * 16 + 3 * 2, 3)
    coloured = np.argwhere((sheet.max(axis=2) - sheet.min(axis=2)) > 30)
    assert coloured.tolist() == [[4, 3 * 18 + 12]]


def test_the_same_inputs_give_the_same_bytes(published: ToyRun, report: Artifact, tmp_path: Path) -> None:
    """The output has plain names, so a killed attempt and its successor must write the same."""
    bucket = published.bucket
    before = {name: stored.sha256 for name, stored in report.manifest.objects.items()}
    bucket.delete(["runs/toy/report/manifest.json"])
    again = published.report(tmp_path / "again")
    assert {name: stored.sha256 for name, stored in again.manifest.objects.items()} == before


def test_names_cannot_become_markup(bucket: Bucket, tmp_path: Path) -> None:
    """Keys, patients and data set are the user's: they are text, in the page, in figures and in alt texts."""
    toy = ToyRun(
        bucket,
        arms=("real", "real+synthetic"),
        seeds=1,
        patients=45,
        patient_name="<script>alert(1)</script>\"'&$x^{{2$}}{:05d}",
        data_set="<img src=x onerror=alert(1)>",
    )
    toy.publish()
    html = toy.report(tmp_path / "scratch").read("index.html").decode()
    page = Page(html)
    assert not page.all("script")
    assert all("onerror" not in attributes for _, attributes in page.tags)
    assert any("<script>alert(1)</script>\"'&$x" in (image["alt"] or "") for image in page.all("img"))
    assert {image["src"][:10] for image in page.all("img") if image["src"]} == {"data:image"}


def test_a_run_without_synthetic_arms_is_reported_without_a_verdict(bucket: Bucket, tmp_path: Path) -> None:
    toy = ToyRun(bucket, arms=("real",), seeds=1, patients=45)
    toy.publish()
    report = toy.report(tmp_path / "scratch")
    assert report.manifest.summary["verdict"] == "not asked"
    assert "add an arm" in " ".join(Page(report.read("index.html").decode()).text)


def test_a_broken_firewall_is_reported_and_voids_the_verdict(small: ToyRun, tmp_path: Path) -> None:
    """A synthetic set that calls itself a test set."""
    index, images = small.radiographs()
    small.publish_real(index, images)
    for label in ("positive", "negative"):
        small.publish_generator(label)
        small.publish_synthetic(label, index, images, {"split": "test"} if label == "positive" else None)
    for arm in small.arms:
        small.publish_classifier(arm, 0, index)
    report = small.report(tmp_path / "scratch")
    assert report.manifest.summary["verdict"] == "void"
    text = " ".join(Page(report.read("index.html").decode()).text)
    assert "No verdict" in text
    assert "✗ broken" in text


def test_copies_across_the_test_are_said_beside_the_verdict_and_shown(bucket: Bucket, tmp_path: Path) -> None:
    """A warning: the verdict stands."""
    toy = ToyRun(bucket, arms=("real", "real+synthetic"), seeds=1, patients=60, copies=2)
    toy.publish()
    found = toy.report(tmp_path / "scratch")
    facts = json.loads(found.read("report.json"))
    assert facts["verdict"]["lead"] is not None
    assert facts["sentences"][0].startswith("2 test images are also in train or select")
    assert [name for name in found.names if "copy-" in name] == ["figures/copy-01.png", "figures/copy-02.png"]
    text = Page(found.read("index.html").decode()).text
    for pair in facts["copies"]["listed"]:
        assert pair["other_key"] in text
    assert text.count("mirrored") == len(facts["copies"]["listed"])


def test_predictions_of_another_test_set_are_refused(small: ToyRun, tmp_path: Path) -> None:
    index, images = small.radiographs()
    small.publish_real(index, images)
    for label in ("positive", "negative"):
        small.publish_generator(label)
        small.publish_synthetic(label, index, images)
    small.publish_classifier("real", 0, index)
    small.publish_classifier("real+synthetic", 0, index[index["patient"] != "patient00003"])
    with pytest.raises(InputError, match=r"train-cnn/real\+synthetic/seed-0: predicts \d+ test images"):
        small.report(tmp_path / "scratch")


def test_predictions_that_are_no_probabilities_are_refused(small: ToyRun, tmp_path: Path) -> None:
    small.publish()
    place = "train-cnn/real/seed-0"
    table = pd.read_parquet(small.open(place).fetch("predictions.parquet", tmp_path))
    table.loc[len(table) - 1, "probability"] = np.nan
    draft = small._draft(place, small.config(), ["preprocess"])
    draft.put("predictions.parquet", parquet_bytes(table))
    draft.put("metrics.json", small.open(place).read("metrics.json"))
    small.bucket.delete([f"runs/toy/{place}/manifest.json"])
    draft.publish({})
    with pytest.raises(InputError, match="is not between 0 and 1"):
        small.report(tmp_path / "scratch")


def test_time_and_size_as_people_say_them() -> None:
    assert [duration(s) for s in (0.25, 9.96, 42.4, 185, 48_000)] == [
        "0.2 s",
        "10.0 s",
        "42 s",
        "3 min 05 s",
        "13 h 20 min",
    ]
    assert [size(n) for n in (12, 2048, 3 * 2**20, 5 * 2**30)] == ["12 B", "2.0 KiB", "3.0 MiB", "5.0 GiB"]
