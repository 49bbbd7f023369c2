"""How much images vary, without any feature space."""

from torch import Tensor


def diversity(images_NCRR: Tensor) -> float:
    """The standard deviation of a pixel over the images, averaged over pixels: 0 for one image repeated."""
    return float(images_NCRR.float().std(0, correction=0).mean())
