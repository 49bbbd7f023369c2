"""A generator against the real images, in a feature space, shared out over the processes."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
import torch

from mura_jobs.features.space import FeatureSpace
from mura_jobs.gan.generator import Z_DIM, Generator
from mura_jobs.gan.history import frechet_name
from mura_jobs.gan.labels import numbered, one_hot
from mura_jobs.gan.metrics.distances import density_coverage, frechet_distance, kernel_distance
from mura_jobs.gan.pictures import to_pixels
from mura_jobs.job.distributed import from_main, gather_shares
from mura_jobs.job.randomness import numpy_stream, torch_stream
from mura_jobs.job.world import World
from mura_jobs.radiographs.packed import Packed

AT_ONCE = 32


class Meter:
    """Distances to fixed real images, whose features are taken once.

    Which real images, and which z and noise, depend on the seed alone: the same at every call, and for any
    number of processes.
    """

    def __init__(self, space: FeatureSpace, real: Packed, count: int, seed: int, world: World) -> None:
        self.space = space.to(world.device)
        self.count = count
        self.seed = seed
        self.world = world
        chosen = np.sort(numpy_stream(seed, "metrics real").permutation(len(real))[:count])
        share = self.space(real.images(chosen[world.share(len(chosen))]))
        self.real = gather_shares(world, torch.from_numpy(share), len(chosen)).numpy()
        # what a conditional generator is asked for, about as often as the data have it
        asked = numpy_stream(seed, "metrics labels").integers(len(real), size=count)
        self.classes = numbered(real.index["label"].to_numpy()[asked])

    def measure(self, generator: Generator) -> Mapping[str, float]:
        """The distances by their names, which end in the feature space's."""
        share = np.concatenate([self.space(pixels) for pixels in self._generated(generator)])
        fake = gather_shares(self.world, torch.from_numpy(share), self.count).numpy()
        space = self.space.name
        names = [frechet_name(space), f"kernel-distance/{space}", f"density/{space}", f"coverage/{space}"]
        values = [0.0] * len(names)
        if self.world.is_main:
            values = [
                frechet_distance(self.real, fake),
                kernel_distance(self.real, fake),
                *density_coverage(self.real, fake),
            ]
        return dict(zip(names, from_main(self.world, values), strict=True))

    @torch.inference_mode()
    def _generated(self, generator: Generator) -> Iterator[NDArray[np.uint8]]:
        """This process's share of the images, some at a time; each is drawn from a stream of its own."""
        rows = range(self.count)[self.world.share(self.count)]
        device = generator.mapping.w_avg.device
        for first in rows[::AT_ONCE]:
            streams = [
                torch_stream(self.seed, "metrics fake", row) for row in rows[first - rows.start :][:AT_ONCE]
            ]
            z = torch.cat([torch.randn(1, Z_DIM, generator=stream) for stream in streams])
            maps = [generator.random_noise(1, stream) for stream in streams]
            noise = [torch.cat(layer).to(device) for layer in zip(*maps, strict=True)]
            label = one_hot(self.classes[first : first + len(z)].to(device), generator.config.labels)
            yield to_pixels(generator(z.to(device), noise, label))[:, 0].cpu().numpy()
