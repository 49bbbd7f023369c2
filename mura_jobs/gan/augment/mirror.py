"""How an image goes on beyond its edges."""

import numpy as np
from numpy.typing import NDArray


def mirrored(places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The pixels that places in a row of `size` pixels show: beyond either edge the row goes on mirrored."""
    around = places % (2 * size)
    return np.minimum(around, 2 * size - 1 - around)
