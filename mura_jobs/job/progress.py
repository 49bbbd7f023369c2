"""Progress of one piece of work, told often to people and rarely to records."""

from collections.abc import Callable, Mapping
from time import monotonic

SHOW_SECONDS = 0.2
"""A terminal is brought up to date at most this often."""

RECORD_SECONDS = (2.0, 60.0)
"""Progress goes on record every 60th of the time spent so far, but within these bounds in seconds."""

Tell = Callable[["Bar", Mapping[str, object]], None]


class Bar:
    """One piece of work of known size. `events.progress(...)` makes it."""

    def __init__(self, total: float, show: Tell, record: Tell) -> None:
        self.total = total
        self.done: float = 0
        self._show = show
        self._record = record
        self._started = self._shown = self._recorded = monotonic()
        self._begun_at: float = 0

    def start_at(self, done: float) -> None:
        """Resumed work: `done` was done before, so the time left is judged from here."""
        self.done = self._begun_at = done

    def advance(self, amount: float = 1, **fields: object) -> None:
        """Count `amount` more as done; `fields` (a loss, a rate) are shown beside the count."""
        self.done += amount
        now, finished = monotonic(), self.done >= self.total
        soonest, latest = RECORD_SECONDS
        if finished or now - self._recorded >= min(max((now - self._started) / 60, soonest), latest):
            self._recorded = self._shown = now
            self._record(self, fields)
        elif now - self._shown >= SHOW_SECONDS:
            self._shown = now
            self._show(self, fields)

    @property
    def eta_seconds(self) -> float | None:
        """Time left in seconds at the speed so far; None before anything is done."""
        progress = self.done - self._begun_at
        if progress <= 0:
            return None
        return max(self.total - self.done, 0) * (monotonic() - self._started) / progress
