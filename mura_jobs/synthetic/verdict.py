"""What one gate says about a row of candidates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
GateName = Literal["memorisation", "memorisation_features", "duplicates", "label_agreement", "realism"]


@dataclass(frozen=True)
class Verdict:
    """One gate's scores, and whom they fail."""

    name: GateName
    columns: Mapping[str, NDArray[Any]]
    """What it adds to the index; the first column is the score that is compared with the threshold."""
    threshold: float
    """Fixed on `select`."""
    fails: Flags
    """Who fails it, whether the gate is on or not."""
    on: bool
    abstains: str | None = None
    """Why it rejects nobody although it is on."""
    extra: Mapping[str, Any] | None = None
    """More to be recorded."""

    @property
    def rejects(self) -> Flags:
        """Who is rejected."""
        return self.fails & (self.on and self.abstains is None)

    @property
    def score(self) -> NDArray[Any]:
        """The score that is compared with the threshold."""
        return next(iter(self.columns.values()))

    def first(self, count: int) -> "Verdict":
        """The same about the first candidates alone."""
        columns = {name: column[:count] for name, column in self.columns.items()}
        return Verdict(
            self.name, columns, self.threshold, self.fails[:count], self.on, self.abstains, self.extra
        )

    @property
    def facts(self) -> dict[str, Any]:
        """Plain values for the manifest's summary."""
        return {
            "on": self.on,
            "abstains": self.abstains,
            "looked_at": len(self.fails),
            "failed": int(self.fails.sum()),
            "rejected": int(self.rejects.sum()),
            "threshold": self.threshold,
            "median": _finite(np.median(self.score)) if len(self.score) else None,
            **(self.extra or {}),
        }


def joined(parts: list[Verdict]) -> Verdict:
    """One gate's verdicts about pieces of a row, as one about the whole."""
    first = parts[0]
    return Verdict(
        first.name,
        {name: np.concatenate([part.columns[name] for part in parts]) for name in first.columns},
        first.threshold,
        np.concatenate([part.fails for part in parts]),
        first.on,
        first.abstains,
        first.extra,
    )


def rejected(verdicts: list[Verdict]) -> Flags:
    """Who is rejected by any."""
    return np.asarray(np.logical_or.reduce([verdict.rejects for verdict in verdicts]))


def _finite(value: Any) -> float | None:  # noqa: ANN401 - any NumPy number
    return round(float(value), 4) if np.isfinite(value) else None
