from collections.abc import Callable

import pytest

from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import InputError
from mura_jobs.radiographs.dataset import DataSet, Radiograph, count
from mura_jobs.radiographs.files import Folder
from mura_jobs.radiographs.mura import OFFICIAL_COUNTS, official_mismatches, read_mura
from tests.radiographs.trees import mura_tree, png, put

ROOT = "MURA-v1.1"
FIRST = f"{ROOT}/train/XR_SHOULDER/patient00000/study1_negative/"

EMPTY_STUDY = f"{ROOT}/train/XR_HAND/patient9/study1_negative/,0\n"

Tree = dict[str, bytes]


def read(bucket: Bucket, tree: Tree, parts: tuple[str, ...] = ("all",), prefix: str = "raw/m") -> DataSet:
    put(bucket, prefix, tree)
    return read_mura(Folder(bucket, prefix), parts)


def edited(tree: Tree, table: str, change: Callable[[str], str]) -> Tree:
    path = f"{ROOT}/{table}"
    return tree | {path: change(tree[path].decode()).encode()}


def test_everything_is_read_from_the_tables(bucket: Bucket) -> None:
    data = read(bucket, mura_tree(8))
    assert data.name == ROOT
    assert len(data.radiographs) == 16
    assert data.radiographs[0] == Radiograph(
        key=f"{FIRST}image1.png",
        path=f"{FIRST}image1.png",
        patient="patient00000",
        study="XR_SHOULDER/patient00000/study1",
        body_part="XR_SHOULDER",
        label="negative",
        split="train",
    )
    assert count(r.kind for r in data.radiographs) == {
        "XR_SHOULDER": {"train": {"negative": 6, "positive": 6}, "test": {"negative": 2, "positive": 2}}
    }


def test_the_top_folder_may_be_the_source_and_have_any_name(bucket: Bucket) -> None:
    """`raw/MURA-v1.1` with the tables in it, or a folder above, or another name: keys stay the tables'."""
    inside = {path.removeprefix(f"{ROOT}/"): data for path, data in mura_tree(8).items()}
    renamed = {f"bones/{path}": data for path, data in inside.items()}
    keys = [r.key for r in read(bucket, mura_tree(8)).radiographs]
    assert [r.key for r in read(bucket, inside, prefix="raw/inside").radiographs] == keys
    assert [r.key for r in read(bucket, renamed, prefix="raw/renamed").radiographs] == keys


def test_body_parts_are_chosen(bucket: Bucket) -> None:
    tree = mura_tree(8, ("XR_SHOULDER", "XR_WRIST", "XR_HAND"))
    data = read(bucket, tree, ("XR_WRIST", "XR_HAND"))
    assert set(count(r.kind for r in data.radiographs)) == {"XR_WRIST", "XR_HAND"}
    assert len({r.study for r in data.radiographs}) == 16
    with pytest.raises(InputError, match="holds no XR_FOOT; it holds XR_HAND, XR_SHOULDER, XR_WRIST"):
        read(bucket, tree, ("XR_FOOT",))


def part(tree: Tree, folder: str) -> Tree:
    return {path: data for path, data in tree.items() if path.startswith(f"{ROOT}/{folder}")}


@pytest.mark.parametrize(("folder", "split"), [("train", "train"), ("valid", "test")])
def test_either_folder_may_come_alone(bucket: Bucket, folder: str, split: str) -> None:
    both = read(bucket, mura_tree(8), prefix="raw/both").radiographs
    alone = read(bucket, part(mura_tree(8), folder)).radiographs
    assert alone == tuple(radiograph for radiograph in both if radiograph.split == split)


BROKEN: dict[str, tuple[Callable[[Tree], Tree], str]] = {
    "no tables": (lambda _: {"x/readme.txt": b""}, "valid_image_paths.csv are nowhere"),
    "a table missing": (
        lambda tree: {p: d for p, d in tree.items() if not p.endswith("valid_labeled_studies.csv")},
        "there is no MURA-v1.1/valid_labeled_studies.csv",
    ),
    "both tables of a folder missing": (
        lambda tree: {p: d for p, d in tree.items() if "valid_" not in p},
        "4 files are not listed as images: MURA-v1.1/valid/",
    ),
    "tables in two folders": (
        lambda tree: tree | {"other/valid_image_paths.csv": b""},
        r"are in 2 folders \(MURA-v1.1/, other/\)",
    ),
    "a listed image missing": (
        lambda tree: {p: d for p, d in tree.items() if p != f"{FIRST}image1.png"},
        f"1 listed images have no file: {FIRST}image1.png",
    ),
    "an image not listed": (
        lambda tree: tree | {f"{FIRST}image9.png": png()},
        f"1 files are not listed as images: {FIRST}image9.png",
    ),
    "a study without images": (
        lambda tree: edited(tree, "train_labeled_studies.csv", lambda t: t + EMPTY_STUDY),
        f"1 labelled studies have no image: {EMPTY_STUDY[:-3]}",
    ),
    "a study without a label": (
        lambda tree: edited(tree, "train_labeled_studies.csv", lambda t: t.split("\n", 1)[1]),
        "belongs to no study in train_labeled_studies.csv",
    ),
    "a label against the folder": (
        lambda tree: edited(tree, "train_labeled_studies.csv", lambda t: t.replace(",0", ",1", 1)),
        "is negative by its folder and positive by train_labeled_studies.csv",
    ),
    "a label that is none": (
        lambda tree: edited(tree, "train_labeled_studies.csv", lambda t: t.replace(",0", ",2", 1)),
        r"train_labeled_studies.csv, line 1: .*expected a study's folder, a comma, and 1 or 0",
    ),
    "a key that is none": (
        lambda tree: edited(tree, "train_image_paths.csv", lambda t: t.replace("patient00000", "bob")),
        r"train_image_paths.csv, line 1: 'MURA-v1.1/.*/bob/.*' is not a MURA key; expected the form",
    ),
    "a table that is no text": (
        lambda tree: tree | {f"{ROOT}/train_image_paths.csv": b"\xff\xfe\x00"},
        "train_image_paths.csv: not text",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_faults_are_named(bucket: Bucket, fault: str) -> None:
    change, message = BROKEN[fault]
    with pytest.raises(InputError, match=message):
        read(bucket, change(mura_tree(8)))


def test_a_patient_in_both_splits_is_refused(bucket: Bucket) -> None:
    tree = mura_tree(8)
    both = {path.replace("patient00003", "patient00000"): data for path, data in tree.items()}
    for table in ("valid_image_paths.csv", "valid_labeled_studies.csv"):
        both = edited(both, table, lambda text: text.replace("patient00003", "patient00000"))
    with pytest.raises(InputError, match="patient patient00000 is in `test` and in `train`"):
        read(bucket, both)


def test_what_desktops_leave_behind_is_reported_not_read(bucket: Bucket) -> None:
    data = read(bucket, mura_tree(8) | {f"{FIRST}._image1.png": b"\0", f"{ROOT}/.DS_Store": b"\0"})
    assert len(data.ignored) == 2
    assert len(data.radiographs) == 16


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm(bucket: Bucket) -> None:
    tree = mura_tree(8)
    dos = {
        p: b"\xef\xbb\xbf" + d.replace(b"\n", b"\r\n") if p.endswith(".csv") else d for p, d in tree.items()
    }
    assert read(bucket, dos) == read(bucket, tree, prefix="raw/unix")


def test_official_counts_are_missed_only_by_muras_own_name(bucket: Bucket) -> None:
    warnings = list(official_mismatches(read(bucket, mura_tree(8))))
    assert len(warnings) == 4
    assert "XR_SHOULDER/train/positive: 6 images, but MURA-v1.1 as published has 4,168" in warnings
    other = read(bucket, mura_tree(8, name="OTHER-v1.0"), prefix="raw/other")
    assert list(official_mismatches(other)) == []


def test_official_counts_add_up() -> None:
    """8,379 training images and 563 validation images of shoulders."""
    shoulders = OFFICIAL_COUNTS["XR_SHOULDER"]
    assert sum(shoulders["train"].values()) == 8379
    assert sum(shoulders["test"].values()) == 563
