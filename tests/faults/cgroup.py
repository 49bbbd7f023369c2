"""A control group of its own whose memory can be limited, so that the kernel kills what is in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import time
import uuid

import pytest

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


class MemoryGroup:
    """Processes that share a limit of memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_v1 = (folder / "memory.limit_in_bytes").exists()

    def add(self, pid: int) -> None:
        """Move a process into it; what it allocates from now on counts, and its children's memory."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    @property
    def bytes(self) -> int:
        """Memory in use."""
        name = "memory.usage_in_bytes" if self._is_v1 else "memory.current"
        return int((self.folder / name).read_text())

    def limit(self, limit: int) -> bool:
        """Set the limit in bytes; False where more is in use that can't be taken away."""
        try:
            (self.folder / ("memory.limit_in_bytes" if self._is_v1 else "memory.max")).write_text(str(limit))
        except OSError:
            return False
        return True

    def squeeze(self) -> None:
        """Leave no room beyond what is in use, so that the next page asked for is one too many."""
        used = self.bytes
        for more in range(0, 64 << 10, 4096):
            if self.limit(used + more):
                return

    @property
    def kills(self) -> int:
        """How many processes the kernel has killed in it."""
        name = "memory.oom_control" if self._is_v1 else "memory.events"
        lines = dict(line.split() for line in (self.folder / name).read_text().splitlines())
        return int(lines["oom_kill"])


@contextmanager
def memory_group() -> Iterator[MemoryGroup]:
    """A new group, gone afterwards. Skips the test where this machine does not let us make one."""
    parent = V1 if (V1 / "memory.limit_in_bytes").exists() else V2
    folder = parent / f"mura-jobs-{uuid.uuid4().hex[:12]}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        if not any((folder / name).exists() for name in ("memory.limit_in_bytes", "memory.max")):
            pytest.skip(f"{parent}: control groups here do not limit memory")
        yield MemoryGroup(folder)
    finally:
        for pid in (folder / "cgroup.procs").read_text().split():
            (parent / "cgroup.procs").write_text(pid)
        for _ in range(50):
            try:
                folder.rmdir()
            except OSError:
                time.sleep(0.1)
            else:
                break
