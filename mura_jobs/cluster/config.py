"""Configuration of what runs beside the stages on a cluster."""

from typing import Annotated, Literal

from pydantic import Field

from mura_jobs.job.config import Config

Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=1, le=65535)]


class LaunchConfig(Config):
    """How many processes train together, and which of them are here."""

    processes: Count = 1
    """Processes on this node, one a GPU."""

    nodes: Count = 1
    """Nodes that train together."""

    node: Annotated[int, Field(ge=0)] = 0
    """Which node this is, from 0."""

    main_host: Annotated[str, Field(min_length=1)] = "localhost"
    """Name of node 0, where the processes meet: the same on all nodes."""

    main_port: Port | None = None
    """TCP port on node 0; where null one of 20000 to 29999 that is made from main_host, as two trainings may
    share the network of a host."""

    meet_seconds: Count = 900
    """Seconds within which all nodes must have come: a cluster may start them minutes apart."""

    stop_seconds: Count = 70
    """Seconds that the processes have after SIGTERM before they are killed."""


class StatusConfig(Config):
    """How the state of a run is shown."""

    output: Literal["table", "json"] = "table"
    """A table for people or JSON for programs."""

    silent_seconds: Count = 300
    """Seconds without a word after which a stage that was running is called silent."""


class PlanConfig(Config):
    """How the plan of a run is shown."""

    output: Literal["table", "json"] = "table"
    """A table for people or JSON for programs."""


class PreflightConfig(Config):
    """What a run needs of the place where it will run."""

    gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs that must be seen."""

    scratch_gib: Annotated[float, Field(ge=0)] = 1.0
    """GiB that must be free for temporary files."""


class DriverConfig(Config):
    """How the driver reaches the Jobs of a run."""

    namespace: Annotated[str, Field(min_length=1)] | None = None
    """Namespace of the Jobs; by default the pod's own, or the one of kubectl's context."""

    jobsets: bool = False
    """Whether some of the run's Jobs are JobSets."""

    poll_seconds: Count = 20
    """Longest time between two looks at the bucket, in seconds."""
