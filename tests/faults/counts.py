"""The tally of faults: what was done how often and what came of it, for `docs/faults.md`."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path

FILE = "MURA_JOBS_FAULTS"
"""Environment variable with the path of a file to which counts are appended, one line each."""


@contextmanager
def tally(broken: str) -> Iterator[Counter[str]]:
    """Counts outcomes; they are written down at the end, whatever that is."""
    outcomes: Counter[str] = Counter()
    try:
        yield outcomes
    finally:
        line = f"{broken} | {outcomes.total()} | " + ", ".join(f"{n} {what}" for what, n in outcomes.items())
        print(line)  # noqa: T201 - shown by pytest -rP or -s
        if FILE in os.environ:
            with Path(os.environ[FILE]).open("a") as file:
                file.write(line + "\n")
