"""A training's record as TensorBoard reads it."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
import tempfile

from PIL import Image
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

FILE = "tensorboard/events.out.tfevents.0.training"


def events_file(metrics: Sequence[Mapping[str, float]], grids: Mapping[str, bytes]) -> bytes:
    """An event file of all measures and grids. Steps are images seen.

    The same record gives the same bytes, and so no event has a time.

    Args:
        metrics: one line a tick, `kimg` among its measures.
        grids: PNG files by names that end in the kimg they were made at.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "events")
        writer = RecordWriter(str(path))
        writer.write(Event(file_version="brain.Event:2").SerializeToString())
        for line in metrics:
            values = [
                Summary.Value(tag=name, simple_value=value) for name, value in line.items() if name != "kimg"
            ]
            writer.write(_event(line["kimg"], values))
        for name, png in sorted(grids.items()):
            tag, _, kimg = name.removesuffix(".png").rpartition("-")
            width, height = Image.open(BytesIO(png)).size
            image = Summary.Image(width=width, height=height, colorspace=1, encoded_image_string=png)
            if tag:
                writer.write(_event(float(kimg), [Summary.Value(tag=tag, image=image)]))
        writer.close()
        return path.read_bytes()


def _event(kimg: float, values: Sequence[Summary.Value]) -> bytes:
    data: bytes = Event(step=round(kimg * 1000), summary=Summary(value=values)).SerializeToString()
    return data
