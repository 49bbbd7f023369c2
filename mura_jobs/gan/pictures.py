"""Grids of images, and the curves of a training, as PNG."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from math import ceil, sqrt

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
import torch
from torch import Tensor

from mura_jobs.gan.generator import Z_DIM, Generator
from mura_jobs.job.randomness import torch_stream

GENERATED_AT_ONCE = 32
STRIP_ROWS = 4
STRIP_STEPS = 9

PANELS: Mapping[str, tuple[str, ...]] = {
    "loss": ("loss_G", "loss_D_fake", "loss_D_real"),
    "augmentation": ("r_t", "p"),
    "regularisers": ("r1", "path_length"),
}
"""Panels of the curves, with the measures that each shows."""


def grid_png(images_NCRR: Tensor, columns: int) -> bytes:
    """Images in [-1, 1] side by side, as a PNG. What is beyond -1 and 1 is black and white."""
    count, channels, side, _ = images_NCRR.shape
    rows = ceil(count / columns)
    sheet = torch.full((channels, rows * side, columns * side), -1.0)
    for place, image in enumerate(images_NCRR.float().cpu()):
        top, left = place // columns * side, place % columns * side
        sheet[:, top : top + side, left : left + side] = image
    pixels = ((sheet + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    file = BytesIO()
    Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def square_grid_png(images_NCRR: Tensor) -> bytes:
    """A grid about as wide as it is high."""
    return grid_png(images_NCRR, ceil(sqrt(len(images_NCRR))))


@torch.inference_mode()
def generated(generator: Generator, count: int, seed: int) -> Tensor:
    """The same z at every call, with the stored noise: images (count, C, R, R)."""
    device = generator.mapping.w_avg.device
    z = torch.randn(count, Z_DIM, generator=torch_stream(seed, "grid")).to(device)
    noise = generator.constant_noise()
    return torch.cat([generator(part, noise) for part in torch.split(z, GENERATED_AT_ONCE)])


@torch.inference_mode()
def interpolation(generator: Generator, seed: int) -> Tensor:
    """Rows of images between two w each: (rows × steps, C, R, R)."""
    device = generator.mapping.w_avg.device
    z = torch.randn(STRIP_ROWS * 2, Z_DIM, generator=torch_stream(seed, "interpolation")).to(device)
    ends = generator.mapping(z).unflatten(0, (STRIP_ROWS, 2))
    noise = generator.constant_noise()
    rows = [
        torch.stack([start.lerp(end, step / (STRIP_STEPS - 1)) for step in range(STRIP_STEPS)])
        for start, end in ends
    ]
    return torch.cat([generator.synthesis(generator.broadcast(row), noise) for row in rows])


def curves_png(metrics: Sequence[Mapping[str, float]]) -> bytes:
    """Losses, augmentation and regularisers over thousands of images."""
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, names) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for name in names:
            points = [(line["kimg"], line[name]) for line in metrics if name in line]
            axes.plot([x for x, _ in points], [y for _, y in points], label=name, linewidth=1.2)
        axes.set(title=title, xlabel="kimg")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()
