"""The description of an execution: one typed read returns its status and its open steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pollflow import AesGcmCodec, Codec, TaskError
from pollflow.client.description import StepState, describe, describe_all, describe_started
from pollflow.machine import Status
from pollflow.runtime.definitions import KnownFlows
from pollflow.runtime.leases import worker_name
from pollflow.store import ExecutionRef, Sealer
from tests.contract.conftest import Bench
from tests.flows import BRANCHES, CALLBACK, EACH, LOOP, PASSES, RETRIES, TASK, TIMED_TASK, WAIT


def only_step(bench: Bench, ref: ExecutionRef) -> Any:
    (step,) = describe(bench.container, ref).open_steps
    return step


def trips(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each later command is added, by its name; a pipeline counts as one."""
    calls: list[str] = []
    execute, pipeline = bench.redis.execute_command, bench.redis.pipeline

    def execute_command(*args: Any, **options: Any) -> Any:
        calls.append(args[0])
        return execute(*args, **options)

    def open_pipeline(*args: Any, **options: Any) -> Any:
        calls.append("pipeline")
        return pipeline(*args, **options)

    monkeypatch.setattr(bench.redis, "execute_command", execute_command)
    monkeypatch.setattr(bench.redis, "pipeline", open_pipeline)
    return calls


def test_a_step_with_a_published_message_is_queued(bench: Bench) -> None:
    ref = bench.start(TASK)
    step = only_step(bench, ref)
    assert (step.state, step.attempt, step.worker, step.due_at) == (StepState.QUEUED, 1, None, None)


def test_a_running_call_names_its_worker_and_deadline(bench: Bench) -> None:
    ref = bench.start(TIMED_TASK)
    bench.container.store.claim(bench.take(), f"{worker_name()}.1")
    step = only_step(bench, ref)
    assert (step.state, step.worker) == (StepState.RUNNING, worker_name())
    assert step.deadline_at is not None and (step.deadline_at - step.since).total_seconds() == 10


def test_a_call_of_a_dead_worker_is_queued_again(bench: Bench) -> None:
    ref = bench.start(TASK)
    bench.container.store.claim(bench.take(), "dead.1")
    bench.pass_time(3.1)
    assert only_step(bench, ref).state is StepState.QUEUED


def test_a_wait_has_the_time_at_which_it_ends(bench: Bench) -> None:
    ref = bench.start(WAIT, {"seconds": 1000})
    bench.work()
    step = only_step(bench, ref)
    assert (step.state, step.type) == (StepState.WAITING, "wait")
    assert step.due_at is not None and (step.due_at - step.since).total_seconds() == 1000


def test_a_retry_has_its_due_time_and_the_last_error(bench: Bench) -> None:
    bench.returns("call", TaskError("Busy"), {})
    ref = bench.start(RETRIES)
    bench.handle_next()
    step = only_step(bench, ref)
    assert (step.state, step.attempt, step.last_error) == (StepState.RETRYING, 2, "Busy")
    assert step.due_at is not None


def test_visits_are_those_of_the_step_not_of_the_frame(bench: Bench) -> None:
    bench.returns("status", {"done": False}, {"done": False}, {"done": True})
    ref = bench.start(LOOP)
    visits: dict[str, None] = {}
    while bench.status(ref) == "Running":
        step = only_step(bench, ref)
        visits[f"{step.name} {step.visit}"] = None
        bench.pass_time(10)
        bench.sweep()
        bench.handle_next()
    # The worker that ends a wait starts the call of the next step at once.
    assert list(visits) == ["Before 1", *(f"{name} {visit}" for visit in (1, 2, 3) for name in ("Wait", "Check"))]


def test_a_task_that_waits_for_a_report_has_the_state_callback(bench: Bench) -> None:
    bench.returns("ask", {})
    ref = bench.start(CALLBACK)
    bench.work()
    assert only_step(bench, ref).state is StepState.CALLBACK


STARTED = {
    **{"passes": PASSES, "task": TASK, "timed": TIMED_TASK, "wait": WAIT, "retries": RETRIES, "loop": LOOP},
    **{"callback": CALLBACK, "each": EACH, "branches": BRANCHES},
}
INPUT = {"seconds": 10, "items": [1, 2], "text": "é\ud83d" * 200, "n": 1 << 70, "f": 0.1, "none": None}


@pytest.mark.parametrize("codec", [None, AesGcmCodec({"new": b"n" * 32})], ids=["clear", "encoded"])
@pytest.mark.parametrize("flow", STARTED)
def test_a_new_execution_is_described_without_a_read_as_a_read_describes_it(
    bench: Bench, flow: str, codec: Codec | None
) -> None:
    bench.build_container(sealer=Sealer(codec), redelivery_timeout=7)
    bench.clock.frozen_at = 1_800_000_000.123456
    bench.deploy(STARTED[flow], flow)
    starter = replace(bench.container.starter, known=KnownFlows())
    # The second start knows the flow from the first one, and has the time of its script.
    for name, parent in (("x", "token"), ("y", "")):
        started = starter.start(flow, INPUT, name, parent=parent, by="ops")
        assert started.snapshot is not None
        now, snapshots = bench.container.reading.snapshots([started.key.ref])
        assert (started.at, [started.snapshot]) == (now, snapshots)
        assert describe_started(bench.container, started) == describe(bench.container, started.key.ref)
        bench.clock.frozen_at += 1.5


def test_an_execution_that_existed_is_read_to_describe_it(bench: Bench) -> None:
    bench.start(WAIT, {"seconds": 1000})
    bench.work()
    found = bench.container.starter.start("flow", {}, "x")
    description = describe_started(bench.container, found)
    assert (description.input, description.open_steps[0].state) == ({"seconds": 1000}, StepState.WAITING)


def test_a_start_takes_one_round_trip_if_the_flow_is_known(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.start(TASK, name="before")
    calls = trips(bench, monkeypatch)
    starter = replace(bench.container.starter, known=KnownFlows())
    for name in ("x", "y", "z"):
        describe_started(bench.container, starter.start("flow", {}, name))
    assert calls == ["pipeline", "EVALSHA", "EVALSHA", "EVALSHA"]  # the flow and the time once, then the scripts


def test_a_map_step_and_each_of_its_children_are_open(bench: Bench) -> None:
    ref = bench.start(EACH, {"items": [1, 2]})
    bench.handle_next()
    steps = describe(bench.container, ref).open_steps
    assert [step.state for step in steps] == [StepState.CHILDREN, StepState.QUEUED, StepState.QUEUED]
    assert steps[0].frame == "r"


def test_an_ended_execution_has_an_output_and_no_open_steps(bench: Bench) -> None:
    bench.returns("call", {"v": 1})
    ref = bench.start(TASK)
    running = describe(bench.container, ref)
    assert (running.status, running.output) == ("Running", None)
    bench.work()
    ended = describe(bench.container, ref)
    assert (ended.status, ended.output, ended.open_steps) == ("Succeeded", {"v": 1}, ())


def test_an_execution_of_a_later_release_is_described_by_its_message(bench: Bench) -> None:
    ref = bench.start(TASK)
    name = only_step(bench, ref).name
    bench.redis.hset(bench.container.store.keys.frame(ref), "layout", 999)
    step = only_step(bench, ref)
    assert (step.name, step.state) == (name, StepState.QUEUED)


def test_a_page_of_executions_is_read_in_two_round_trips(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    refs = [bench.start(TASK, name=f"n{number}") for number in range(20)]
    bench.container.engine.end(bench.key(refs[0]), Status.STOPPED, "", "")
    describe(bench.container, refs[1])  # reads the definition once
    calls = trips(bench, monkeypatch)
    found = describe_all(bench.container, refs)
    assert len(found) == 20 and {d.status for d in found} == {"Running", "Stopped"}
    assert calls == ["pipeline"]  # one pipeline, executed twice: for executions, then for their frames
