"""Hostile text: tables, keys, run files, flags, addresses."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hypothesis import strategies as st
import pytest

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import InvalidKey
from mura_jobs.bucket.keys import require_valid_key
from mura_jobs.cli import PRESETS, main
from mura_jobs.errors import ConfigError
from mura_jobs.job.config import merged
from mura_jobs.job.flags import Parser, add_flags, given
from mura_jobs.job.stage import JobOptions
from mura_jobs.job.values import parse_yaml
from mura_jobs.radiographs.config import PreprocessConfig
from mura_jobs.radiographs.decode import Unreadable
from mura_jobs.radiographs.files import Files
from mura_jobs.radiographs.mura import read_mura
from mura_jobs.radiographs.table import read_table
from mura_jobs.stages import RunConfig
from tests.faults.hostile import MANY, bounded_memory, survive
from tests.pipeline.runs import TINY
from tests.radiographs.trees import mura_tree

LINES = [
    "path,label,patient,study,split,body_part",
    "a b/é 1.png,positive,p1,s1,train,XR_HAND",
    '"a,2.png",0,p2,s1,valid,XR_HAND',
    "a/3.png,negative,p3,s2,test,",
]
TABLE = "\n".join(LINES).encode()
IMAGES = {"a b/é 1.png": 9, "a,2.png": 9, "a/3.png": 9}
TREE = mura_tree(8)


class InMemory(Files):
    """Files out of a dictionary."""

    where = "memory"

    def __init__(self, content: Mapping[str, bytes]) -> None:
        self.content = content
        self.sizes = {path: len(data) for path, data in sorted(content.items())}
        self.versions = dict.fromkeys(self.sizes, "")

    def read_all(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | Unreadable]]:
        """Each as it is."""
        for path in paths:
            yield path, self.content[path]


def rows(columns: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    """Tables whose cells are anything."""
    line = st.lists(columns, max_size=8).map(",".join)
    return st.lists(line, max_size=6).map(
        lambda lines: "\n".join([LINES[0], *lines]).encode("utf-8", "ignore")
    )


@pytest.mark.parametrize("cases", MANY)
def test_tables(cases: int) -> None:
    def parse(data: bytes) -> None:
        files = InMemory({"table.csv": data} | dict.fromkeys(IMAGES, b""))
        found = read_table(files, "table.csv", ("all",))
        assert all(r.path in IMAGES for r in found.radiographs)

    cells = st.text() | st.sampled_from([cell for line in LINES for cell in line.split(",")])
    survive(parse, [TABLE, TABLE.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + TABLE], cases, rows(cells))


@pytest.mark.parametrize("cases", MANY)
@pytest.mark.parametrize("table", ["train_image_paths.csv", "train_labeled_studies.csv"])
def test_the_tables_of_a_mura_tree(table: str, cases: int) -> None:
    """And the paths in them: none leads out of the tree or to a file that isn't there."""

    def parse(data: bytes) -> None:
        files = InMemory(TREE | {f"MURA-v1.1/{table}": data})
        found = read_mura(files, ("all",))
        assert {r.path for r in found.radiographs} <= set(TREE)

    words = [
        "MURA-v1.1",
        "train",
        "XR_SHOULDER",
        "patient00000",
        "study1_negative",
        "image1.png",
        "..",
        "",
        ".",
    ]
    paths = st.lists(st.sampled_from(words) | st.text(max_size=5), max_size=8).map("/".join)
    lines = st.lists(paths, max_size=5).map(lambda found: "\n".join(found).encode("utf-8", "ignore"))
    survive(parse, [TREE[f"MURA-v1.1/{table}"]], cases, lines)


RUN_FILES = [TINY.read_bytes(), *((PRESETS / name).read_bytes() for name in ("demo.yaml", "notebook.yaml"))]


@pytest.mark.parametrize("cases", MANY)
def test_run_files(cases: int) -> None:
    """Their text, and the values in it under keys that exist."""
    plain = RunConfig().plain()

    def parse(data: bytes) -> None:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise ConfigError("no text") from None
        found = parse_yaml(text, "run.yaml")
        if not isinstance(found, dict):
            raise ConfigError("no mapping")
        RunConfig.parse(merged(plain, found))

    words = st.sampled_from(
        ["&a", "*a", "<<:", "!!python/object:os.system", "- ", "{", "}", "[", "]", ": ", "\n"]
    )
    sections = st.sampled_from(sorted(plain))
    values = st.sampled_from(
        ["1e999", "-1", "null", "[]", "{}", "''", "yes", "0x10", "2001-01-01", "1:30", "~"]
    )
    assigned = st.builds("{}: {}\n".format, sections, values)
    texts = st.lists(words | sections | values | assigned | st.text(max_size=4), max_size=30)
    survive(parse, RUN_FILES, cases, texts.map(lambda found: "".join(found).encode("utf-8", "ignore")))


@pytest.mark.parametrize("cases", MANY)
def test_flags(cases: int) -> None:
    parser = Parser()
    add_flags(parser, JobOptions, "where")
    add_flags(parser, PreprocessConfig, "what")
    where = ["--bucket", "file:///b", "--run-id", "r"]

    def parse(data: bytes) -> None:
        options = parser.parse_args([*where, *data.decode("utf-8", "surrogateescape").split("\n")])
        JobOptions.parse(given(options, JobOptions))
        PreprocessConfig.parse(given(options, PreprocessConfig))

    valid = [b"--resolution\n64\n--select-fraction\n0.3", b"--body-parts\nXR_HAND\nXR_ELBOW", b"--threads\n2"]
    survive(parse, valid, cases)


@pytest.mark.parametrize("cases", MANY)
def test_addresses_of_buckets(cases: int) -> None:
    def parse(data: bytes) -> None:
        url, _, endpoint = data.decode("utf-8", "surrogateescape").partition(" ")
        open_bucket(url, endpoint or None)

    survive(parse, [b"file:///folder/a%20b", b"file:///folder/%C3%A9"], cases)


@pytest.mark.parametrize("cases", MANY)
def test_endpoints(cases: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no credentials: those of boto3 would be looked for each time."""
    from mura_jobs.bucket import _check_endpoint

    monkeypatch.delenv("AWS_PROFILE", raising=False)

    def parse(data: bytes) -> None:
        _check_endpoint(data.decode("utf-8", "surrogateescape"))

    survive(parse, [b"https://s3.example.org:8333", b"http://[::1]:8333", b"http://127.0.0.1"], cases)


@pytest.mark.parametrize("cases", MANY)
def test_keys_lead_nowhere_else(cases: int, tmp_path: Path) -> None:
    """What is accepted stays below the bucket's folder, under a name of its own."""

    def parse(data: bytes) -> None:
        key = data.decode("utf-8", "surrogateescape")
        require_valid_key(key, where="here")
        path = Path(f"{tmp_path}/{key}")
        assert path.resolve() == path
        assert path.is_relative_to(tmp_path)
        assert str(path) == f"{tmp_path}/{key}"

    parts = st.lists(
        st.sampled_from(["..", ".", "", "a", "b.png", "\\", "~"]) | st.text(max_size=3), max_size=8
    )
    keys = parts.map(lambda found: "/".join(found).encode("utf-8", "surrogatepass"))
    survive(parse, [b"runs/a/run.json", "é/日本.png".encode()], cases, keys)


@pytest.mark.parametrize(
    "endpoint",
    ["host:80", "http://", "http://[", "http://h:99999", "http://h:x", "http://a b", "ftp://h", "http://h/p"],
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="endpoint"):
        open_bucket("s3://bucket", endpoint)


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "a: &a [*a]",
        "a: &a {b: *a}",
        "[" * 100_000,
        "{a: " * 5_000 + "1" + "}" * 5_000,
        "a: " + "9" * 100_000,
        "!!python/object/apply:os.system ['false']",
        "? [a, b]\n: c",
        "preprocess: !!binary aGk=",
        "preprocess: 2001-01-01",
        "\0",
    ],
    ids=[
        "laughs",
        "in itself",
        "in itself, a key",
        "deep",
        "deep keys",
        "long",
        "tag",
        "key",
        "bytes",
        "date",
        "nul",
    ],
)
def test_yaml_bombs(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a file on the command line: exit 64, and one line that says why."""
    (tmp_path / "run.yaml").write_text(text)
    (tmp_path / "bucket").mkdir()
    where = [
        "--bucket",
        (tmp_path / "bucket").as_uri(),
        "--run-id",
        "r",
        "--config",
        str(tmp_path / "run.yaml"),
    ]
    with bounded_memory():
        assert main(["run", *where]) == ConfigError.exit_code
    said = capsys.readouterr().err
    assert said.startswith("mura-jobs: ")
    assert len(said) < 5000
    assert list((tmp_path / "bucket").iterdir()) == []


def test_a_csv_field_without_end() -> None:
    data = TABLE + b'\n"' + b"x" * 50_000_000
    with bounded_memory(), pytest.raises(Exception, match="not a CSV") as caught:
        read_table(InMemory({"table.csv": data} | dict.fromkeys(IMAGES, b"")), "table.csv", ("all",))
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "a/../../b", "..\\b", "a\0.png"])
def test_a_path_in_a_table_does_not_lead_out(key: str) -> None:
    line = f"{key},positive,p9,s9,train,XR_HAND"
    with pytest.raises(Exception, match=r"there is no file|not a CSV"):
        read_table(
            InMemory({"table.csv": "\n".join([*LINES, line]).encode()} | dict.fromkeys(IMAGES, b"")),
            "table.csv",
            ("all",),
        )
    with pytest.raises(InvalidKey):
        require_valid_key(key, where="here")
