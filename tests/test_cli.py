import json
from pathlib import Path

import pytest

from mura_jobs.cli import main
from mura_jobs.stages import STAGES
from mura_jobs.synthetic.tools import TOOLS


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    "command", ["run", *(stage.name for stage in STAGES), *(tool.name for tool in TOOLS)]
)
def test_help_documents_each_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(command, "--help")
    assert caught.value.code == 0
    assert "--bucket STR" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["preprocess", "--run-id", "r"], "bucket: missing"),
        (["preprocess", "--bucket", "file:///x", "--run-id", "R"], "run_id"),
        (
            ["preprocess", "--bucket", "file:///x", "--run-id", "r", "--resolution", "big"],
            "preprocess.resolution",
        ),
        (["preprocess", "--bucket", "file:///x", "--run-id", "r", "--resolutoin", "32"], "--resolutoin"),
        (["train-gan", "--bucket", "file:///x", "--run-id", "r"], "train-gan.label: missing"),
        (["run", "--bucket", "file:///x", "--run-id", "r", "--config", "preset:dmeo"], "known: "),
        (["run", "--bucket", "ftp://x", "--run-id", "r"], "ftp"),
        (["frobnicate"], "frobnicate"),
        ([], "COMMAND"),
    ],
)
def test_a_wrong_command_line_exits_64_and_says_why(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 64
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("preprocess: {resolutoin: 32}", "preprocess.resolutoin: unknown key"),
        ("train-gna: {}", "train-gna: unknown key"),
        ("train-cnn: {batch: -1}", "train-cnn.batch"),
        ("[1, 2]", "holds a list"),
        ("a: [", "can't be read"),
    ],
)
def test_a_wrong_file_exits_64_with_the_key_s_path(
    text: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    assert run("run", "--bucket", tmp_path.as_uri(), "--run-id", "r", "--config", file) == 64
    assert reason in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [file]


def test_the_schema_knows_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema") == 0
    schema = json.loads(capsys.readouterr().out)
    assert {stage.name for stage in STAGES} <= schema["properties"].keys()
    assert schema["additionalProperties"] is False
