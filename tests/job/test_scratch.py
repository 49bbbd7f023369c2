import errno
import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

from mura_jobs.errors import ConfigError
from mura_jobs.job.scratch import ScratchFull, require_room, scratch_folder

HOLD = """
import sys, time
from mura_jobs.job.scratch import scratch_folder
with scratch_folder(sys.argv[1]) as folder:
    (folder / "shard").write_bytes(b"1" * 1000)
    print(folder, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_holds_is_not(tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        held = Path(holder.stdout.readline().strip())
        with scratch_folder(str(tmp_path)):
            assert (held / "shard").exists()
        holder.kill()
    assert (held / "shard").exists()
    with scratch_folder(str(tmp_path)) as folder:
        assert list(tmp_path.iterdir()) == [folder.parent]
        assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_a_wrong_configuration(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"scratch: .*missing \(No such file"),
        scratch_folder(str(tmp_path / "missing")),
    ):
        pass


def fill(parent: Path) -> None:
    with scratch_folder(str(parent)) as folder:
        (folder / "file").write_bytes(b"123")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_folder_is_an_error_with_figures(tmp_path: Path) -> None:
    with pytest.raises(ScratchFull, match=r"is full: of [\d,]+ bytes [\d,]+ are free and 3 are") as caught:
        fill(tmp_path)
    assert caught.value.exit_code == 1


def test_room_is_asked_for_before_work(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    require_room(tmp_path, free // 2, "half")
    with pytest.raises(ScratchFull, match=r"twice needs [\d,]+ bytes, [\d,]+ are free .* larger volume"):
        require_room(tmp_path, 2 * free, "twice")
