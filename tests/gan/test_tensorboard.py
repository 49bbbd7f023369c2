from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
import torch

from mura_jobs.gan.pictures import grid_png
from mura_jobs.gan.tensorboard import FILE, events_file

METRICS = [{"kimg": 1.0, "loss_G": 0.5}, {"kimg": 2.5, "loss_G": 0.25, "coverage/pixels": 1.0}]


def test_tensorboard_reads_measures_and_grids(tmp_path: Path) -> None:
    """By its own reader; steps are images seen, and the same record gives the same bytes."""
    png = grid_png(torch.zeros(4, 1, 8, 8), 2)
    grids = {"grids/fakes-000002.500.png": png, "grids/reals.png": png}
    data = events_file(METRICS, grids)
    assert data == events_file(METRICS, grids)
    file = tmp_path / FILE
    file.parent.mkdir()
    file.write_bytes(data)
    read = EventAccumulator(str(file.parent), size_guidance={"images": 0}).Reload()
    assert [(event.step, event.value) for event in read.Scalars("loss_G")] == [(1000, 0.5), (2500, 0.25)]
    assert [event.step for event in read.Scalars("coverage/pixels")] == [2500]
    shown = read.Images("grids/fakes")
    assert [(event.step, event.encoded_image_string) for event in shown] == [(2500, png)]
