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
    filter: bool = False
    """Each of four frequency bands amplified by 2^N(0, filter_log2²), the expected power kept."""
    noise: bool = False
    """Addition of noise of a standard deviation that is half-normal, |N(0, noise_std²)|."""
    cutout: bool = False
    """A square of `cutout_share` of the width set to middle grey, its centre anywhere in the image."""
    rotate_degrees: float = 180.0
    shift_share: float = 0.125
    scale_log2: float = 0.2
    brightness_std: float = 0.2
    contrast_log2: float = 0.5
    filter_log2: float = 1.0
    noise_std: float = 0.1
    cutout_share: float = 0.5


_B = {"flip": True, "rotate90": True, "shift": True}
_G = {"scale": True, "rotate": True, "stretch": True, "fractional_shift": True}
_C = {"brightness": True, "contrast": True, "hue": True, "saturation": True}


def pipe_of(name: Augmentation, image_channels: int) -> Pipe:
    """The pipeline of a preset.

    Each letter of a name adds operations, in the order of `bgcfnc`. A luma flip is among them for colour
    images only: of a radiograph it makes an inverted film.
    """
    if name == "none":
        return Pipe()
    if name == "radiograph":
        return Pipe(shift=True, **_G, brightness=True, contrast=True, rotate_degrees=10.0)
    colour = _C | {"luma_flip": image_channels > 1}
    letters = (_B, _G, colour, {"filter": True}, {"noise": True}, {"cutout": True})
    return Pipe(**{flag: value for flags in letters[: len(name)] for flag, value in flags.items()})
