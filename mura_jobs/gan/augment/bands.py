"""Image-space filtering: frequency bands of an image amplified or weakened (ADA, appendix B.4)."""

from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray
import torch
from torch import Tensor

from mura_jobs.gan.augment.draws import Draws
from mura_jobs.gan.augment.mirror import mirrored
from mura_jobs.gan.augment.presets import Pipe

SYM2 = tuple((a + b * sqrt(3)) / (4 * sqrt(2)) for a, b in ((1, 1), (3, 1), (3, -1), (1, -1)))
"""Low-pass filter of the wavelet "sym2" (Daubechies, Ten lectures on wavelets, section 6.4)."""

BANDS = 4
"""From the lowest up: below π/8, then one octave each; the edges are as soft as the filter is short."""

EXPECTED_POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)
"""Share of an image's power in each band: natural images have about as much in each octave, and the lowest
band has all that are left."""


def band_gains(pipe: Pipe, p: Tensor, draws: Draws) -> Tensor:
    """Draw an image's gains, (N, 4): for each band with probability p one of 2^N(0, 1).

    With each, all gains are divided by a factor that keeps the expected power of an unfiltered image.
    """
    power = torch.tensor(EXPECTED_POWER, device=p.device)
    total = torch.ones_like(draws.uniform())[:, None].expand(-1, BANDS)
    for band in range(BANDS):
        gain = torch.exp2(draws.normal() * pipe.filter_log2 * draws.chance(p))
        gains = torch.stack([gain if place == band else torch.ones_like(gain) for place in range(BANDS)], 1)
        total = total * gains / (gains.square() @ power).sqrt()[:, None]
    return total


def filter_bands(images_NCHW: Tensor, gains_N4: Tensor) -> Tensor:
    """Amplify the bands of square images by their gains, in both directions: the same shape."""
    bank = _bank(images_NCHW.shape[-1], images_NCHW.dtype, images_NCHW.device)
    matrix_N1HH = torch.einsum("nb,bij->nij", gains_N4.to(images_NCHW.dtype), bank)[:, None]
    return matrix_N1HH @ images_NCHW @ matrix_N1HH.transpose(2, 3)


def band_filters() -> list[NDArray[np.float64]]:
    """The bands' filters from the lowest up, each of 43 taps around its centre. They add up to doing nothing.

    The wavelet's low-pass and high-pass filter, each followed by its mirror image, halve the spectrum between
    them without shifting anything. The lower half is split again by the same filters at half the rate.
    """
    taps = np.array(SYM2)
    low = np.convolve(taps, taps[::-1]) / 2
    high = -low
    high[len(high) // 2] += 1
    bands = [np.ones(1)]
    for _ in range(BANDS - 1):
        bands = [*(np.convolve(_spread(band), low) for band in bands), high]
    longest = max(len(band) for band in bands)
    return [np.pad(band, (longest - len(band)) // 2) for band in bands]


def _spread(taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """A filter for half the sampling rate: zeros between its taps."""
    wide = np.zeros(2 * len(taps) - 1)
    wide[::2] = taps
    return wide


@lru_cache(maxsize=16)
def _bank(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The bands' filters as matrices on a column of pixels with mirrored edges, (4, size, size)."""
    filters = band_filters()
    bank = np.zeros((len(filters), size, size))
    rows = np.arange(size)
    for band, taps in enumerate(filters):
        for place, tap in enumerate(taps):
            np.add.at(bank[band], (rows, mirrored(rows + place - len(taps) // 2, size)), tap)
    return torch.tensor(bank, dtype=dtype, device=device)
