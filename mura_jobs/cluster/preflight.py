"""Is everything in place for a run? Bucket, configuration, data, memory, GPUs, and processes' exchange."""

from collections import Counter
from collections.abc import Iterator, Mapping
import os
from pathlib import Path
import shutil
import tempfile
from time import monotonic
from typing import Any

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.cluster.config import PreflightConfig
from mura_jobs.cluster.record import record
from mura_jobs.errors import ConfigError, InputError, MuraError
from mura_jobs.job.events import Events
from mura_jobs.job.stage import JobOptions
from mura_jobs.stages import RunConfig

GIB = 1 << 30
SHM = Path("/dev/shm")  # noqa: S108 - the shared memory itself, not a file in it
SHM_BYTES = 128 << 20
"""What several processes need at least; a container's usual 64 MB end in a bus error."""
REDUCED = 1 << 22
"""Numbers in the trial exchange between processes (16 MiB)."""
PATHS_SHOWN = ("train", "valid")


def run(config: PreflightConfig, run_config: RunConfig, options: JobOptions) -> None:
    """Check everything, and record the run's configuration in the bucket. In several processes, each checks.

    Raises:
        ConfigError: something is set up wrong; the message says what to do.
        InputError: the raw radiographs or sample grids are not where the configuration says.
    """
    bucket = open_bucket(options.bucket, options.endpoint)
    events = Events(
        bucket,
        style=options.log,
        run=options.run_id,
        instance="preflight",
        rank=int(os.environ.get("RANK", "0")),
    )
    events.emit("started", devices=[])
    try:
        for name, found in _checks(bucket, config, run_config, options):
            events.emit(name, **found)
        events.emit("published", at="preflight")
    except MuraError as error:
        events.emit("failed", error=str(error), error_type=type(error).__name__, exit_code=error.exit_code)
        raise
    finally:
        events.close()


def _checks(
    bucket: Bucket, config: PreflightConfig, run_config: RunConfig, options: JobOptions
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    bucket.check()
    yield "bucket", {"url": bucket.url}
    record(bucket, options.run_id, run_config, replace=options.replace)
    yield "configuration", {"arms": len(run_config.arms), "seeds": run_config.seeds}
    if run_config.phantom is None:
        yield "radiographs", count_source(bucket, run_config.preprocess.source)
    if run_config.import_grid is not None:
        sources = {run_config.import_grid.source_of(label) for label in run_config.labels}
        kept = sorted(source for source in sources if not source.startswith("/"))
        yield "sample grids", {"bytes": {source: bucket.size(source) for source in kept}}
    yield "scratch", {"free_gib": require_scratch(options.scratch, config.scratch_gib)}
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    yield "shared memory", {"mib": require_shm(SHM, processes, config.gpus) >> 20}
    yield "gpus", {"names": require_gpus(config.gpus)}
    if processes > 1:
        yield "exchange", exchange(options.device)


def count_source(bucket: Bucket, source: str) -> Mapping[str, Any]:
    """What lies where `preprocess` will read: a file's size, or a tree's images by split and label.

    Raises:
        InputError: nothing lies there.
    """
    if source.endswith((".zip", ".csv")):
        return {"source": source, "bytes": bucket.size(source)}
    counts: Counter[str] = Counter()
    files = 0
    for entry in bucket.list(f"{source.rstrip('/')}/"):
        files += 1
        if entry.key.lower().endswith((".png", ".jpg", ".jpeg")):
            split = next((part for part in entry.key.split("/") if part in PATHS_SHOWN), "other")
            label = next(
                (word for word in ("positive", "negative") if f"_{word}/" in entry.key), "unlabelled"
            )
            counts[f"{split} {label}"] += 1
    if not counts:
        raise InputError(
            f"{bucket.url}: {files} files and no image under {source}/; upload the radiographs there, or say "
            "with preprocess.source where they are"
        )
    return {"source": source, "images": dict(sorted(counts.items()))}


def require_scratch(folder: str | None, gib: float) -> float:
    """GiB that are free for temporary files.

    Raises:
        ConfigError: they are too few.
    """
    free = shutil.disk_usage(folder or tempfile.gettempdir()).free / GIB
    if free < gib:
        raise ConfigError(f"scratch: {free:.1f} GiB are free, {gib:g} are needed; give it a larger volume")
    return round(free, 1)


def require_shm(path: Path, processes: int, gpus: int) -> int:
    """Size of the shared memory in bytes.

    Raises:
        ConfigError: it is too small for several processes or GPUs.
    """
    size = shutil.disk_usage(path).total
    if max(processes, gpus) > 1 and size < SHM_BYTES:
        raise ConfigError(
            f"{path} has {size >> 20} MiB, too few for {max(processes, gpus)} processes: mount an emptyDir "
            "of medium Memory there (the chart's shmSize)"
        )
    return size


def require_gpus(count: int) -> list[str]:
    """Names of the GPUs that torch sees.

    Raises:
        ConfigError: they are fewer than asked for.
    """
    import torch

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if len(names) < count:
        raise ConfigError(
            f"gpus: torch {torch.__version__} sees {len(names)} of {count}; is it a CUDA build, does the pod "
            "ask for them, and is the node's driver new enough?"
        )
    return names


def exchange(device: str) -> Mapping[str, Any]:
    """Sum numbers over all processes, twice, and time the second.

    Raises:
        MuraError: the sum is wrong, or a process is out of reach.
    """
    from torch import distributed as dist

    from mura_jobs.job.distributed import require_exchange, world_of

    with world_of(os.environ, device) as world:
        require_exchange(world, REDUCED)
        begin = monotonic()
        require_exchange(world, REDUCED)
        seconds = monotonic() - begin
        backend = dist.get_backend()
    return {"backend": backend, "processes": world.size, "mib_per_s": round(REDUCED * 4 / 2**20 / seconds, 1)}
