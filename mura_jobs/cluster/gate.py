"""Which Jobs may start: the driver's decisions as pure functions of Jobs and published outputs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mura_jobs.errors import InputError
from mura_jobs.stages import Instance

OPENED = "mura-jobs/opened"
PLACES = "mura-jobs/places"
QUEUE = "mura-jobs/queue"
PARALLELISM = "mura-jobs/parallelism"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
GATE_QUEUE = "mura-jobs-gate"
"""The chart's name of a queue that does not exist, in which a Job waits for the driver."""
HELM = "helm"
"""Helm's name among those who manage an object's fields."""

State = Literal["held", "open", "complete", "failed"]


@dataclass(frozen=True)
class Gate:
    """A Job or JobSet of the run, as far as the driver cares."""

    kind: Literal["Job", "JobSet"]
    name: str
    stage: str
    places: tuple[str, ...]
    """The outputs that it publishes; none for the preflight."""
    state: State
    version: str
    """Its resourceVersion: a patch of any other version is refused."""
    opening: Mapping[str, Any]
    """The patch that opens it."""
    surprise: str = ""
    """What somebody else did to it."""


@dataclass(frozen=True)
class Decision:
    """What to do now, and why nothing more."""

    open: tuple[Gate, ...]
    waiting: Mapping[str, tuple[str, ...]]
    """Names of held Jobs, and what each of them waits for."""
    failed: tuple[Gate, ...]
    finished: bool
    """All Jobs are complete, or removed after they published everything."""
    stuck: bool
    """Nothing is running, and nothing that is left can start."""


def read_gate(manifest: Mapping[str, Any], now: str) -> Gate:
    """Understand a Job or JobSet as the API server gives it. `now` is noted on it when it is opened.

    Raises:
        InputError: somebody wrote an annotation of ours that makes no sense.
    """
    metadata, spec = manifest["metadata"], manifest["spec"]
    annotations = metadata.get("annotations") or {}
    labels = metadata.get("labels") or {}
    conditions = {
        condition["type"]
        for condition in (manifest.get("status") or {}).get("conditions") or []
        if condition["status"] == "True"
    }
    queue, parallelism = annotations.get(QUEUE), annotations.get(PARALLELISM)
    closed = bool(spec.get("suspend")) or (parallelism is not None and spec.get("parallelism") == 0)
    opened = OPENED in annotations
    rolled_back = opened and closed and _is_held_by_helm(manifest)
    places = tuple(annotations.get(PLACES, "").split())
    state: State = "held"
    if conditions & {"Complete", "Completed"}:
        state = "complete"
    elif "Failed" in conditions:
        state = "failed"
    elif (opened and not rolled_back) or not closed or not places:
        # what publishes nothing is not the driver's to open: a queue may hold it
        state = "open"
    note: dict[str, Any] = {"annotations": {OPENED: now}, "resourceVersion": metadata["resourceVersion"]}
    opening: dict[str, Any] = {"metadata": note, "spec": {"suspend": False}}
    if queue is not None:
        opening = {"metadata": note | {"labels": {QUEUE_LABEL: queue}}}
    elif parallelism is not None:
        if not parallelism.isascii() or not parallelism.isdigit():
            raise InputError(
                f"{metadata['name']}: its annotation {PARALLELISM} is {parallelism!r}, no number"
            )
        opening = {"metadata": note, "spec": {"parallelism": int(parallelism)}}
    surprise = ""
    if rolled_back and state == "held":
        surprise = "was held again by Helm, as a rollback does; it is opened once more"
    elif opened and closed and queue is None and state == "open":
        surprise = "was opened and is held again by someone else; it is left alone"
    elif state == "open" and not opened and places:
        surprise = "runs although the driver did not open it"
    return Gate(
        kind="JobSet" if manifest.get("kind") == "JobSet" else "Job",
        name=metadata["name"],
        stage=labels.get("mura-jobs/stage", ""),
        places=places,
        state=state,
        version=metadata["resourceVersion"],
        opening=opening,
        surprise=surprise,
    )


def _is_held_by_helm(manifest: Mapping[str, Any]) -> bool:
    """Whether Helm alone set what holds a Job. What a person or a queue holds is theirs.

    A rollback applies the manifest of the Job's first day; it means nothing by it when the driver has opened
    the Job since.
    """
    metadata, spec = manifest["metadata"], manifest["spec"]
    if QUEUE in (metadata.get("annotations") or {}):
        return bool((metadata.get("labels") or {}).get(QUEUE_LABEL) == GATE_QUEUE)
    field = "f:suspend" if spec.get("suspend") else "f:parallelism"
    managers = {
        entry["manager"]
        for entry in metadata.get("managedFields") or []
        if field in entry.get("fieldsV1", {}).get("f:spec", {})
    }
    return managers == {HELM}


def needs_of(instances: Sequence[Instance]) -> dict[str, tuple[str, ...]]:
    """What each output is made from. Stages that read raw data wait for the stages that make it."""
    raw = tuple(instance.place for instance in instances if instance.stage.raw)
    return {
        instance.place: instance.stage.needs(instance.config) or (() if instance.stage.raw else raw)
        for instance in instances
    }


def decide(
    gates: Iterable[Gate], needs: Mapping[str, tuple[str, ...]], published: Collection[str]
) -> Decision:
    """Open every held Job whose needs are published, by Jobs that are Complete or by none of this run.

    A Job is stopped by what it needs itself, so that a failed arm holds up the report but no other arm.
    """
    gates = [gate for gate in gates if gate.places or gate.stage == "preflight"]
    publisher = {place: gate for gate in gates for place in gate.places}
    preflights = [gate for gate in gates if gate.stage == "preflight"]

    def missing(gate: Gate) -> tuple[str, ...]:
        wanted = sorted({need for place in gate.places for need in needs[place]})
        absent = [
            need
            for need in wanted
            if need not in published or (need in publisher and publisher[need].state != "complete")
        ]
        return (*(check.name for check in preflights if check.state != "complete"), *absent)

    waiting = {gate.name: missing(gate) for gate in gates if gate.state == "held"}
    opening = tuple(gate for gate in gates if gate.state == "held" and not waiting[gate.name])
    failed = tuple(gate for gate in gates if gate.state == "failed")
    running = any(gate.state == "open" for gate in gates)
    # Jobs may be removed when they have ended (ttlSeconds), and at first they are not there yet
    all_there = bool(gates) or needs.keys() <= set(published)
    finished = all_there and all(gate.state == "complete" for gate in gates)
    return Decision(
        open=opening,
        waiting={name: absent for name, absent in waiting.items() if absent},
        failed=failed,
        finished=finished,
        stuck=bool(gates) and not finished and not running and not opening,
    )
