"""Stopping in good order: SIGTERM is noted, and a stage stops at its next safe point."""

import signal
from types import FrameType

from mura_jobs.errors import Stopped


class Shutdown:
    """Whether the process was asked to stop. Kubernetes sends SIGTERM before it deletes a pod."""

    def __init__(self) -> None:
        self.requested = False

    def install(self) -> None:
        """Note SIGTERM from now on. Main thread only."""
        signal.signal(signal.SIGTERM, self._note)

    def check(self) -> None:
        """Stop here if asked to: call it where everything worth keeping lies in the bucket.

        Raises:
            Stopped: with exit code 143, which tells Kubernetes to run the Job again.
        """
        if self.requested:
            raise Stopped("stopped by SIGTERM; run the same command again to continue")

    def _note(self, signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal's signature
        self.requested = True
