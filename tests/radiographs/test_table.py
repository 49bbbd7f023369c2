import pytest

from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import InputError
from mura_jobs.radiographs.dataset import DataSet, Radiograph
from mura_jobs.radiographs.files import Folder
from mura_jobs.radiographs.table import read_table
from tests.radiographs.trees import png, put

HEADER = "path,label,patient,study,split,body_part\n"
ROWS = "a/1.png,positive,p1,s1,train,hand\na/2.png,0,p2,s1,valid,foot\n"


def read(bucket: Bucket, text: str, parts: tuple[str, ...] = ("all",)) -> DataSet:
    put(bucket, "raw/set", {"a/1.png": png(1), "a/2.png": png(2), "labels.csv": text.encode()})
    return read_table(Folder(bucket, "raw/set"), "labels.csv", parts)


def test_a_table_is_read(bucket: Bucket) -> None:
    first, second = read(bucket, HEADER + ROWS).radiographs
    assert first == Radiograph("a/1.png", "a/1.png", "p1", "p1/s1", "hand", "positive", "train")
    assert (second.label, second.split, second.study) == ("negative", "test", "p2/s1")


def test_body_parts_are_chosen(bucket: Bucket) -> None:
    assert [r.body_part for r in read(bucket, HEADER + ROWS, ("foot",)).radiographs] == ["foot"]
    with pytest.raises(InputError, match="no image of XR_SHOULDER"):
        read(bucket, HEADER + ROWS, ("XR_SHOULDER",))


def test_the_body_part_may_be_left_out(bucket: Bucket) -> None:
    text = "split,study,patient,label,path\ntrain,s,p,1,a/1.png\n"
    assert read(bucket, text, ("XR_SHOULDER",)).radiographs[0].body_part == "unknown"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label,patient,split\n", "has no column study; expected path, label, patient, study, split"),
        (HEADER + "a/9.png,1,p,s,train,\n", "line 2: there is no file a/9.png"),
        (HEADER + "a/1.png,yes,p,s,train,\n", "label 'yes'; expected one of positive, 1, negative, 0"),
        (HEADER + "a/1.png,1,p,s,dev,\n", "line 2: split 'dev'; expected one of train, select, test, valid"),
        (HEADER + "a/1.png,1,,s,train,\n", "line 2: patient is empty"),
        (HEADER + "a/1.png,1,p\n", "line 2: study is empty"),
        (HEADER + "a/1.png,1,p,s,train,\na/1.png,1,p,s,train,\n", "a/1.png is listed twice"),
        (HEADER + "a/1.png,1,p,s,train,\na/2.png,0,p,s,train,\n", "p/s is positive of p and also negative"),
        (HEADER + "a/1.png,1,p,s,train,\na/2.png,1,p,t,test,\n", "patient p is in `test` and in `train`"),
        (HEADER, "holds no image"),
    ],
)  # fmt: skip
def test_faults_are_named(bucket: Bucket, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(bucket, text)
