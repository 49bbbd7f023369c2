"""Which Jobs may start, as a function of Jobs and published outputs."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mura_jobs.cluster.gate import Gate, decide, needs_of, read_gate
from mura_jobs.stages import RunConfig, plan
from tests.cluster.runs import RUN
from tests.helm.chart import Manifest, jobs, render

VALUES = {"arms": list(RUN.arms), "seeds": RUN.seeds}
NEEDS = needs_of(plan(RUN))


def manifests(values: dict[str, Any] | None = None) -> dict[str, Manifest]:
    """The chart's Jobs as an API server would give them, without the driver's own."""
    found = jobs(render({**VALUES, **(values or {})}))
    del found["driver"]
    for manifest in found.values():
        manifest["metadata"]["resourceVersion"] = "7"
    return found


def gates(found: dict[str, Manifest], **conditions: str) -> list[Gate]:
    """Gates of the Jobs, some of which ended: `gates(found, preflight="Complete")`."""
    for key, condition in conditions.items():
        status = {"conditions": [{"type": condition, "status": "True"}]}
        found[key.replace("_", "-")]["status"] = status
    return [read_gate(manifest, "now") for manifest in found.values()]


def opened(decided: Any) -> set[str]:  # noqa: ANN401 - a Decision
    return {gate.name.removeprefix("mura-").rpartition("-")[0] for gate in decided.open}


def test_nothing_opens_before_the_preflight() -> None:
    decision = decide(gates(manifests()), NEEDS, set())
    assert opened(decision) == set()
    assert not decision.finished
    assert not decision.stuck


def test_the_first_stage_opens_after_the_preflight() -> None:
    assert opened(decide(gates(manifests(), preflight="Complete"), NEEDS, set())) == {"preprocess"}


def test_a_complete_job_without_its_manifest_opens_nothing() -> None:
    found = gates(manifests(), preflight="Complete", preprocess="Complete")
    assert opened(decide(found, NEEDS, set())) == set()


def test_jobs_that_were_removed_after_they_ended_are_not_missed() -> None:
    """A Job with ttlSeconds is taken away: its manifest stays, and at the end there may be no Job at all."""
    found = manifests()
    del found["preflight"], found["preprocess"]
    assert "train-gan-positive" in opened(decide(gates(found), NEEDS, {"preprocess"}))
    assert decide([], NEEDS, NEEDS.keys()).finished
    assert not decide([], NEEDS, NEEDS.keys() - {"report"}).finished


def test_what_nothing_makes_is_not_waited_for() -> None:
    """A failed Job was removed, or a stage is disabled and its output is not there: no change would come."""
    found = manifests()
    del found["preprocess"]
    decision = decide(gates(found, preflight="Complete"), NEEDS, set())
    assert decision.stuck
    assert ("preprocess",) in decision.waiting.values()
    assert not decide(gates(manifests()), NEEDS, set()).stuck
    assert not decide([], NEEDS, set()).stuck


def test_a_preflight_that_a_queue_holds_is_waited_for() -> None:
    decision = decide(gates(manifests({"kueue": {"queueName": "radiology"}})), NEEDS, set())
    assert opened(decision) == set()
    assert not decision.stuck


def test_a_manifest_whose_job_is_not_complete_opens_nothing() -> None:
    """Its pods may still be at work: removing parts, say."""
    found = manifests()
    found["preprocess"]["spec"]["suspend"] = False
    assert opened(decide(gates(found, preflight="Complete"), NEEDS, {"preprocess"})) == set()


def test_real_arms_do_not_wait_for_generators() -> None:
    found = gates(manifests(), preflight="Complete", preprocess="Complete")
    assert opened(decide(found, NEEDS, {"preprocess"})) == {
        "train-gan-positive",
        "train-gan-negative",
        "train-cnn-real",
    }


def test_outputs_of_another_release_count_by_their_manifests() -> None:
    found = gates(manifests({"preprocess": {"enabled": False}}), preflight="Complete")
    assert "train-gan-positive" in opened(decide(found, NEEDS, {"preprocess"}))
    assert opened(decide(found, NEEDS, set())) == set()


def test_preprocess_waits_for_the_phantom() -> None:
    run = RunConfig.parse({"phantom": {}, "preprocess": {"source": "raw/phantom/MURA-PHANTOM"}, **VALUES})
    values = {"phantom": {"enabled": True}, "preprocess": {"config": {"source": "raw/phantom/MURA-PHANTOM"}}}
    found = manifests(values)
    needs = needs_of(plan(run))
    assert opened(decide(gates(found, preflight="Complete"), needs, set())) == {"phantom"}
    assert opened(decide(gates(found, phantom="Complete"), needs, {"raw/phantom"})) == {"preprocess"}


def test_a_failure_holds_up_only_what_needs_it() -> None:
    """A generator failed: the real arm goes on; when it is done, nothing is left to do."""
    found = manifests()
    states = dict.fromkeys(("preflight", "preprocess"), "Complete") | {"train_gan_positive": "Failed"}
    decision = decide(gates(found, **states), NEEDS, {"preprocess"})
    assert opened(decision) == {"train-gan-negative", "train-cnn-real"}
    assert not decision.stuck
    states |= dict.fromkeys(("train_gan_negative", "synthesize_negative", "train_cnn_real"), "Complete")
    published = {"preprocess", "train-gan/negative", "synthesize/negative"}
    published |= {"train-cnn/real/seed-0", "train-cnn/real/seed-1"}
    decision = decide(gates(found, **states), NEEDS, published)
    assert opened(decision) == set()
    assert decision.stuck
    assert any("train-gan/positive" in absent for absent in decision.waiting.values())


def test_a_run_is_finished_when_all_jobs_are_complete() -> None:
    found = manifests()
    states = {key.replace("-", "_"): "Complete" for key in found}
    assert decide(gates(found, **states), NEEDS, set()).finished


@settings(deadline=None, max_examples=15)
@given(order=st.permutations(list(range(20))))
def test_whatever_the_order_of_events_every_need_comes_first(order: list[int]) -> None:
    """Completing opened Jobs in any order opens each once, after all it needs, until all are complete."""
    found = manifests()
    published: set[str] = set()
    opened_ones: list[str] = ["preflight"]
    done: list[str] = []
    for pick in order:
        running = [key for key in opened_ones if key not in done]
        if not running:
            break
        key = running[pick % len(running)]
        done.append(key)
        found[key]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
        published |= set(found[key]["metadata"]["annotations"]["mura-jobs/places"].split())
        for gate in decide([read_gate(m, "now") for m in found.values()], NEEDS, published).open:
            name = next(k for k, m in found.items() if m["metadata"]["name"] == gate.name)
            assert name not in opened_ones
            assert {need for place in gate.places for need in NEEDS[place]} <= published
            opened_ones.append(name)
            found[name]["metadata"]["annotations"]["mura-jobs/opened"] = "now"
            found[name]["spec"]["suspend"] = False
    assert set(done) == found.keys()


def test_each_kind_of_gate_has_its_own_opening() -> None:
    note = {"annotations": {"mura-jobs/opened": "now"}, "resourceVersion": "7"}
    plain = read_gate(manifests()["report"], "now")
    assert plain.opening == {"metadata": note, "spec": {"suspend": False}}
    queued = read_gate(manifests({"kueue": {"queueName": "radiology"}})["report"], "now")
    assert queued.opening == {"metadata": note | {"labels": {"kueue.x-k8s.io/queue-name": "radiology"}}}
    old = {"kubeVersion": "1.20.2", "preprocess": {"shards": 1}}
    parallel = read_gate(manifests(old)["report"], "now")
    assert parallel.opening == {"metadata": note, "spec": {"parallelism": 1}}
    assert {plain.state, queued.state, parallel.state} == {"held"}


def test_what_was_opened_once_is_not_opened_again() -> None:
    """Somebody, or a queue, suspended it since: that is not the driver's to undo."""
    found = manifests()
    found["preprocess"]["metadata"]["annotations"]["mura-jobs/opened"] = "before"
    decided = gates(found, preflight="Complete")
    assert opened(decide(decided, NEEDS, set())) == set()
    (gate,) = [gate for gate in decided if gate.places == ("preprocess",)]
    assert "held again" in gate.surprise


def suspended_by(*managers: str) -> Gate:
    """Preprocess, which was opened and then suspended by all of these."""
    found = manifests()
    fields: dict[str, Any] = {"f:spec": {"f:suspend": {}}}
    metadata = found["preprocess"]["metadata"]
    metadata["annotations"]["mura-jobs/opened"] = "before"
    metadata["managedFields"] = [
        *({"manager": manager, "operation": "Update", "fieldsV1": fields} for manager in managers),
        {"manager": "helm", "operation": "Apply", "fieldsV1": {"f:spec": {"f:parallelism": {}}}},
    ]
    (gate,) = [gate for gate in gates(found, preflight="Complete") if gate.places == ("preprocess",)]
    return gate


def test_what_a_rollback_suspended_is_opened_again() -> None:
    """It applies the manifest of when the Job was created; what a person suspends stays so."""
    again = suspended_by("helm")
    assert again.state == "held"
    assert "rollback" in again.surprise
    assert decide([again], NEEDS, set()).open == (again,)
    for others in (("kubectl-patch",), ("helm", "kubectl-patch"), ()):
        left = suspended_by(*others)
        assert left.state == "open"
        assert "left alone" in left.surprise


def test_what_a_rollback_took_out_of_its_queue_is_handed_over_again() -> None:
    found = manifests({"kueue": {"queueName": "radiology"}})
    found["preprocess"]["metadata"]["annotations"]["mura-jobs/opened"] = "before"
    (gate,) = [gate for gate in gates(found, preflight="Complete") if gate.places == ("preprocess",)]
    assert gate.state == "held"
    assert gate.opening["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "radiology"}


def test_a_job_that_runs_unasked_is_noticed() -> None:
    """Kueue's queue named default admits a Job at once, for instance."""
    found = manifests()
    found["report"]["spec"]["suspend"] = False
    (gate,) = [gate for gate in gates(found) if gate.places == ("report",)]
    assert gate.state == "open"
    assert "did not open it" in gate.surprise


def test_queued_jobs_may_be_suspended_by_their_queue() -> None:
    found = manifests({"kueue": {"queueName": "radiology"}})
    metadata = found["preprocess"]["metadata"]
    metadata["annotations"]["mura-jobs/opened"] = "before"
    metadata["labels"]["kueue.x-k8s.io/queue-name"] = "radiology"
    (gate,) = [gate for gate in gates(found) if gate.places == ("preprocess",)]
    assert (gate.state, gate.surprise) == ("open", "")
