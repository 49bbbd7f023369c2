"""Running one stage instance: the part that is the same for all stages."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
import os
import platform
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mura_jobs.bucket import open_bucket
from mura_jobs.bucket.base import Bucket
from mura_jobs.errors import MuraError, Stopped
from mura_jobs.job.artifact import Artifact, Draft, clear_workings, withdraw
from mura_jobs.job.config import Config
from mura_jobs.job.display import Style
from mura_jobs.job.events import Events
from mura_jobs.job.job import Job
from mura_jobs.job.manifest import Usage, read_manifest
from mura_jobs.job.scratch import scratch_folder
from mura_jobs.job.shutdown import Shutdown
from mura_jobs.job.world import World


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline, as data."""

    name: str
    about: str
    """What it does, in a line."""
    config_class: type[Config]
    run: Callable[[Any, Job], None]
    place: Callable[[Any], str]
    """Where in a run its output lies, from its configuration: "train-gan/positive"."""
    needs: Callable[[Any], tuple[str, ...]]
    """Places of the outputs it reads."""
    sources: Callable[[Any, Bucket], Mapping[str, str]] = lambda _config, _bucket: {}
    """What tells whether the raw data that it reads changed, by where that lies."""
    trains: bool = False
    """Whether it computes with torch: on a GPU where there is one, in several processes under torchrun."""
    raw: bool = False
    """Whether it makes raw data, which lies beside the runs, in plain names."""
    plain_names: bool = False
    """Whether its objects are opened by people and tools by name."""

    def prefix(self, config: Config, run_id: str) -> str:
        """Where in the bucket its output lies."""
        return self.place(config) if self.raw else f"runs/{run_id}/{self.place(config)}"


class JobOptions(Config):
    """How and where a stage runs. None of it changes the result."""

    bucket: str
    """Where everything is read and written: s3://BUCKET/PREFIX or file:///FOLDER."""
    run_id: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
    """Name of the run: its outputs lie under runs/RUN_ID. Lower-case letters, digits, "-" and "."."""
    endpoint: str | None = None
    """URL of the S3 service, for any but Amazon's."""
    replace: bool = False
    """Discard what was published with another configuration instead of refusing to go on."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes a GPU where there is one."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Threads torch computes with on a CPU; by default as many as there are cores."""
    scratch: str | None = None
    """Folder for temporary files, the size of the packed data set at most; by default the system's."""
    log: Style = "auto"
    """bar for a terminal, json (one line an event) for a pod; auto takes bar on a terminal."""
    index: Annotated[int, Field(ge=0)] = 0
    """Which share of the work this is, from 0 (an Indexed Job's completion index)."""
    count: Annotated[int, Field(ge=1)] = 1
    """Shares the work is divided into (an Indexed Job's completions)."""

    @model_validator(mode="after")
    def _shares_fit(self) -> "JobOptions":
        if self.index >= self.count:
            raise ValueError(f"index {self.index} must be below count {self.count}")
        if self.replace and self.count > 1:
            raise ValueError("replace: shares would discard each other's parts; use another run id")
        return self


CLAIM = "parts/claim"
"""Where below an output with plain names stands who makes it."""

Outcome = Literal["published", "already published", "part published"]


def execute(
    stage: Stage,
    config: Config,
    options: JobOptions,
    shutdown: Shutdown,
    environment: Mapping[str, str] = os.environ,
) -> Outcome:
    """Run one stage instance to its published output, or find it published already.

    Args:
        stage: the stage.
        config: its configuration.
        options: how and where.
        shutdown: notes SIGTERM.
        environment: where torchrun announces the other processes.

    Raises:
        ConfigError: something made with another configuration is published there, and `replace` is off.
        ArtifactMissing: an earlier stage has not published yet.
        Stopped: SIGTERM came; everything worth keeping is in the bucket.
    """
    bucket = open_bucket(options.bucket, options.endpoint)
    prefix = stage.prefix(config, options.run_id)
    place = stage.place(config)
    with _world(stage, options, environment) as world:
        events = Events(
            bucket,
            style=options.log,
            run=options.run_id,
            instance=place,
            index=options.index,
            rank=world.rank,
        )
        try:
            inputs = {
                name: Artifact.open(bucket, f"runs/{options.run_id}/{name}") for name in stage.needs(config)
            }
            digests = {name: artifact.manifest.digest for name, artifact in inputs.items()}
            draft = Draft(
                bucket,
                prefix,
                stage=stage.name,
                config=config.plain(),
                inputs=digests,
                sources=stage.sources(config, bucket),
                plain_names=stage.plain_names,
                usage=lambda: _usage(events, world),
            )
            if _is_published(draft, world, replace=options.replace):
                events.emit("already published", at=prefix)
                if world.is_main:
                    clear_workings(bucket, prefix)  # of an attempt that was killed right after it published
                return "already published"
            events.emit("started", devices=list(_devices(world)))
            with scratch_folder(options.scratch) as scratch:
                job = Job(
                    bucket=bucket,
                    inputs=inputs,
                    output=draft,
                    events=events,
                    shutdown=shutdown,
                    world=world,
                    scratch=scratch,
                    index=options.index,
                    count=options.count,
                )
                stage.run(config, job)
            outcome: Outcome = "published" if read_manifest(bucket, prefix) else "part published"
            if world.is_main:
                if stage.plain_names:
                    clear_workings(bucket, prefix)
                events.emit(outcome, at=prefix, seconds=round(events.elapsed_seconds, 1))
        except Stopped:
            events.emit("stopped", exit_code=Stopped.exit_code)
            raise
        except Exception as error:
            code = error.exit_code if isinstance(error, MuraError) else MuraError.exit_code
            events.emit("failed", error=str(error), error_type=type(error).__name__, exit_code=code)
            raise
        else:
            return outcome
        finally:
            events.close()


def _is_published(draft: Draft, world: World, *, replace: bool) -> bool:
    """Whether this very output exists; another one is refused, or discarded where `replace` is set."""
    published = False
    if world.is_main:
        manifest = read_manifest(draft.bucket, draft.prefix)
        if replace:
            withdraw(draft.bucket, draft.prefix)
            manifest = None
        if manifest is not None:
            manifest.require_same(draft.prefix, draft.config, draft.inputs, draft.sources)
            published = True
        elif draft.plain_names:
            published = _claim(draft)
    if world.size > 1:
        from mura_jobs.job.distributed import any_process

        published = any_process(world, published)
    return published


def _claim(draft: Draft) -> bool:
    """Claim an output whose objects have plain names, which another configuration would write over.

    Returns whether it was published meanwhile.

    Raises:
        ConfigError: another configuration is at work there, or was and has been killed.
    """
    claim = Draft(
        draft.bucket,
        f"{draft.prefix}/{CLAIM}",
        stage=draft.stage,
        config=draft.config,
        inputs=draft.inputs,
        sources=draft.sources,
    )
    claim.publish({})
    manifest = read_manifest(draft.bucket, draft.prefix)
    if manifest is None:
        return False
    clear_workings(draft.bucket, draft.prefix)
    manifest.require_same(draft.prefix, draft.config, draft.inputs, draft.sources)
    return True


def _world(stage: Stage, options: JobOptions, environment: Mapping[str, str]) -> Any:  # noqa: ANN401 - a context manager of World
    if not stage.trains:
        return nullcontext(World())
    import torch

    from mura_jobs.job.distributed import world_of

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    return world_of(environment, options.device)


def _devices(world: World) -> tuple[str, ...]:
    if world.device.startswith("cuda"):
        import torch

        return (torch.cuda.get_device_name(world.device),) * world.size
    return (f"{platform.machine()} CPU, {os.cpu_count()} cores",) * world.size


def _usage(events: Events, world: World) -> Usage:
    seconds = round(events.elapsed_seconds, 3)
    return Usage(devices=_devices(world), wall_seconds=seconds, device_seconds=seconds * world.size)
