"""How much memory this process and what it started may take, and took: figures for messages."""

from pathlib import Path
import resource

UNLIMITED = 1 << 60
"""Control groups of the first version say so with a number beyond this."""


def memory_limit() -> int | None:
    """The limit in bytes of this process's control group, as a container's is; None where there is none."""
    limits = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers in ("", "memory"):
            root = Path("/sys/fs/cgroup", controllers)
            name = "memory.limit_in_bytes" if controllers else "memory.max"
            # a container sees its own group as the root
            for file in (root / group.strip("/") / name, root / name):
                if file.exists():
                    limits.append(file.read_text().strip())
                    break
    numbers = [int(limit) for limit in limits if limit.isdigit() and int(limit) < UNLIMITED]
    return min(numbers, default=None)


def memory_facts() -> str:
    """In words: the limit, and the most that this process took and the largest one that it started."""
    limit = memory_limit()
    allowed = "no limit is set here" if limit is None else f"the limit is {limit >> 20:,} MiB"
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    others = f" and the largest that it started {peak:,} MiB" if peak else ""
    return f"{allowed}, this process took {own:,} MiB{others}"
