"""A look at the generator: a grid, how much its images vary, how far they are from real ones."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mura_jobs.errors import ConfigError
from mura_jobs.features.space import FeatureSpace
from mura_jobs.gan.config import TrainGanConfig
from mura_jobs.gan.data import RealImages
from mura_jobs.gan.history import Best, History, frechet_name, misses
from mura_jobs.gan.metrics.diversity import diversity
from mura_jobs.gan.pictures import generated, square_grid_png
from mura_jobs.gan.state import TrainState
from mura_jobs.job.world import World

if TYPE_CHECKING:
    from mura_jobs.gan.metrics.meter import Meter

DIVERSITY = "diversity"
"""What the variation of generated images, as a share of that of real ones, is called among the metrics."""


class Collapsed(ConfigError):
    """The generator makes nearly one image from every z. The same configuration would get there again."""


@dataclass
class Observer:
    """Takes snapshots of a training and puts them on record, the same on every process."""

    config: TrainGanConfig
    data: RealImages
    space: FeatureSpace | None
    world: World

    def look(self, state: TrainState, history: History, line: dict[str, float]) -> None:
        """Add to the tick's line, to the grids, and to the best generator so far.

        Raises:
            Collapsed: images hardly vary, and did not at the snapshot before.
        """
        images = generated(state.G_ema, self.config.grid_images, self.config.seed, self.world)
        history.grids[f"grids/fakes-{line['kimg']:010.3f}.png"] = square_grid_png(images)
        self._require_diverse(history, line, diversity(images) / self._real_diversity)
        if self.space is not None:
            line.update(self._meter.measure(state.G_ema))
            distance = line[frechet_name(self.space.name)]
            if history.best is None or distance < history.best.distance:
                weights = {name: value.cpu().clone() for name, value in state.G_ema.state_dict().items()}
                history.best = Best(line["kimg"], distance, weights)

    def is_patience_over(self, history: History) -> bool:
        """Whether too many snapshots have passed without a smaller distance."""
        patience = self.config.metrics.patience
        if patience is None or self.space is None:
            return False
        return misses(history.values(frechet_name(self.space.name))) >= patience

    def _require_diverse(self, history: History, line: dict[str, float], share: float) -> None:
        limit = self.config.diversity_alarm
        before = history.values(DIVERSITY)[-1:]
        line[DIVERSITY] = share
        if share < limit and before and before[0] < limit:
            raise Collapsed(
                f"train-gan {self.config.label}: generated images vary {share:.3f} times as much as real "
                f"ones at {line['kimg']:g} kimg, and {before[0]:.3f} times at the snapshot before; below "
                f"{limit:g} (diversity_alarm) that is mode collapse. Raise gamma, lower learning_rate, or "
                "give more training images; the last checkpoint holds the training as it was before"
            )

    @cached_property
    def _real_diversity(self) -> float:
        return diversity(self.data.batch(0, slice(None), min(self.config.grid_images, len(self.data))))

    @cached_property
    def _meter(self) -> "Meter":
        from mura_jobs.gan.metrics.meter import Meter  # what it measures with takes seconds to import

        assert self.space is not None
        return Meter(self.space, self.data.packed, self.config.metrics.images, self.config.seed, self.world)
