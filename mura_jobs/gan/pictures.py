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
from mura_jobs.gan.labels import one_hot, side_by_side
from mura_jobs.job.distributed import gather_shares
from mura_jobs.job.randomness import torch_stream
from mura_jobs.job.world import World

GENERATED_AT_ONCE = 32
STRIP_ROWS = 4
STRIP_STEPS = 9

PANELS: Mapping[str, tuple[str, ...]] = {
    "loss": ("loss_G", "loss_D_fake", "loss_D_real"),
    "augmentation": ("r_t", "p"),
    "regularisers": ("r1", "path_length"),
    "Fréchet distance": ("frechet-distance/",),
    "kernel distance": ("kernel-distance/",),
    "coverage and diversity": ("density/", "coverage/", "diversity"),
}
"""Panels of the curves, with the measures that each shows; what ends in / goes on with a feature space."""


def to_pixels(images_NCRR: Tensor) -> Tensor:
    """Images in [-1, 1] to uint8. What is beyond -1 and 1 is black and white."""
    return ((images_NCRR.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def grid_png(images_NCRR: Tensor, columns: int) -> bytes:
    """Images in [-1, 1] side by side, as a PNG."""
    count, channels, side, _ = images_NCRR.shape
    rows = ceil(count / columns)
    sheet = torch.zeros((channels, rows * side, columns * side), dtype=torch.uint8)
    for place, image in enumerate(to_pixels(images_NCRR).cpu()):
        top, left = place // columns * side, place % columns * side
        sheet[:, top : top + side, left : left + side] = image
    pixels = sheet.permute(1, 2, 0).numpy()
    file = BytesIO()
    Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def square_grid_png(images_NCRR: Tensor) -> bytes:
    """A grid about as wide as it is high."""
    return grid_png(images_NCRR, _columns(len(images_NCRR)))


def _columns(count: int) -> int:
    return ceil(sqrt(count))


@torch.inference_mode()
def generated(generator: Generator, count: int, seed: int, world: World) -> Tensor:
    """The same z at every call, with the stored noise: images (count, C, R, R), made by all processes.

    In a square grid, each label of a conditional generator has an equal share of each row, in their order.
    """
    device = generator.mapping.w_avg.device
    z = torch.randn(count, Z_DIM, generator=torch_stream(seed, "grid"))
    classes = side_by_side(count, _columns(count), generator.config.labels)
    noise = generator.constant_noise()
    share = torch.cat(
        [
            generator(z[rows].to(device), noise, one_hot(classes[rows].to(device), generator.config.labels))
            for rows in torch.split(torch.arange(count)[world.share(count)], GENERATED_AT_ONCE)
        ]
    )
    return gather_shares(world, share, count)


@torch.inference_mode()
def interpolation(generator: Generator, seed: int) -> Tensor:
    """Rows of images between two w each: (rows × steps, C, R, R).

    The rows take turns with the labels of a conditional generator.
    """
    device, labels = generator.mapping.w_avg.device, generator.config.labels
    z = torch.randn(STRIP_ROWS * 2, Z_DIM, generator=torch_stream(seed, "interpolation")).to(device)
    classes = (torch.arange(STRIP_ROWS, device=device) % max(labels, 1)).repeat_interleave(2)
    ends = generator.mapping(z, one_hot(classes, labels)).unflatten(0, (STRIP_ROWS, 2))
    noise = generator.constant_noise()
    rows = [
        torch.stack([start.lerp(end, step / (STRIP_STEPS - 1)) for step in range(STRIP_STEPS)])
        for start, end in ends
    ]
    return torch.cat([generator.synthesis(generator.broadcast(row), noise) for row in rows])


def curves_png(metrics: Sequence[Mapping[str, float]]) -> bytes:
    """Every measure over thousands of images, one panel a kind."""
    names = list(dict.fromkeys(name for line in metrics for name in line))
    panels = {title: [name for name in names if _is_any(name, wanted)] for title, wanted in PANELS.items()}
    shown = {title: chosen for title, chosen in panels.items() if chosen}
    columns = min(len(shown), 3)
    rows = ceil(len(shown) / columns)
    figure = Figure(figsize=(4 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    every = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (title, chosen) in zip(every, shown.items(), strict=False):
        for name in chosen:
            points = [(line["kimg"], line[name]) for line in metrics if name in line]
            marker = "." if len(points) < len(metrics) else ""
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1.2, marker=marker)
        axes.set(title=title, xlabel="kimg")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize="small")
    for axes in list(every)[len(shown) :]:
        axes.set_visible(False)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()


def _is_any(name: str, wanted: Sequence[str]) -> bool:
    return any(name.startswith(other) if other.endswith("/") else name == other for other in wanted)
