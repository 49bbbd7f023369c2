"""Which operations an augmentation pipeline has, and how strong they are."""

from dataclasses import dataclass

from mura_jobs.gan.config import Augmentation


@dataclass(frozen=True)
class Pipe:
    """Operations in the order in which they are applied to an image (ADA, appendix B).

    Each flag says whether the operation exists; it then hits an image with the probability p.
    """

    flip: bool = False
    """Left to right, for one of two draws."""
    rotate90: bool = False
    """By a random multiple of 90°."""
    shift: bool = False
    """By whole pixels, uniformly up to `shift_share` of the width, in both directions."""
    scale: bool = False
    """By 2^N(0, scale_log2²)."""
    rotate: bool = False
    """Uniformly up to `rotate_degrees`, before and after the anisotropic scaling."""
    stretch: bool = False
    """Anisotropic scaling by (s, 1/s) with s = 2^N(0, scale_log2²)."""
    fractional_shift: bool = False
    """By N(0, (shift_share × width)²) in both directions."""
    brightness: bool = False
    """Addition of N(0, brightness_std²) to an image in [-1, 1]."""
    contrast: bool = False
    """Multiplication by 2^N(0, contrast_log2²)."""
    luma_flip: bool = False
    """Reflection of the grey axis, for one of two draws; of one channel, its negative: an inverted film."""
    hue: bool = False
    """Rotation about the grey axis, uniformly up to 180°. Nothing for one channel."""
    saturation: bool = False
    """Scaling across the grey axis by 2^N(0, 1). Nothing for one channel."""
    rotate_degrees: float = 180.0
    shift_share: float = 0.125
    scale_log2: float = 0.2
    brightness_std: float = 0.2
    contrast_log2: float = 0.5


_B = {"flip": True, "rotate90": True, "shift": True}
_G = {"scale": True, "rotate": True, "stretch": True, "fractional_shift": True}
_C = {"brightness": True, "contrast": True, "hue": True, "saturation": True}


def pipe_of(name: Augmentation, image_channels: int) -> Pipe:
    """The pipeline of a preset.

    A luma flip belongs to `bgc` for colour images only: of a radiograph it makes an inverted film.
    """
    colour = _C | {"luma_flip": image_channels > 1}
    match name:
        case "none":
            return Pipe()
        case "b":
            return Pipe(**_B)
        case "bg":
            return Pipe(**_B, **_G)
        case "bgc":
            return Pipe(**_B, **_G, **colour)
        case "radiograph":
            return Pipe(shift=True, **_G, brightness=True, contrast=True, rotate_degrees=10.0)
