"""A step whose function a worker lacks is left to a worker that has it, until no worker has had it for a while."""

from __future__ import annotations

from typing import Any

import pytest

from pollflow import Functions
from pollflow.client.description import StepState, describe
from pollflow.store import ExecutionRef
from tests.contract.conftest import Bench

TASK = """
version: v1
type: flow
steps:
  - {type: task, name: Call, resourceArn: "acs:fc:::services/jobs/functions/call", timeoutSeconds: 5}
"""
GRACE = 60.0
STEP = 5.0


def register(bench: Bench, *names: str) -> None:
    """Register functions as a running worker does."""
    bench.container.directory.save_functions(names, bench.now())


def error_of(bench: Bench, ref: ExecutionRef) -> str | None:
    return bench.container.reading.execution(ref).error


def handle_queued(bench: Bench) -> None:
    """Handle the messages that are in the queue now, but not those that this publishes: they are not due yet."""
    keys = []
    while (key := bench.take_or_none()) is not None:
        keys.append(key)
    for key in keys:
        bench.container.engine.handle(key)


def work_on(bench: Bench, seconds: float, *registered: str) -> None:
    """Let this worker and the sweep work for some time; a worker with the registered functions runs beside it."""
    for _ in range(round(seconds / STEP)):
        if registered:
            register(bench, *registered)
        bench.pass_time(STEP)
        bench.sweep()
        handle_queued(bench)


@pytest.mark.parametrize("name", ["call", "acs:fc:::services/jobs/functions/call"])
def test_a_step_waits_for_a_worker_that_has_its_function(bench: Bench, name: str) -> None:
    register(bench, "other")
    ref = bench.start(TASK)
    handle_queued(bench)
    (step,) = describe(bench.container, ref).open_steps
    assert (step.state, step.attempt, step.worker) == (StepState.QUEUED, 1, None)
    assert step.reason == "waits for a worker that has the function jobs/call"
    # Longer than the timeout of the attempt and than GRACE: the function's worker is busy.
    work_on(bench, GRACE + 10, name)
    assert error_of(bench, ref) is None
    bench.functions.register("call", lambda input, context: {"attempt": context.attempt})
    work_on(bench, 15)
    assert bench.output(ref) == {"attempt": 1}
    assert len([event for event in bench.history(ref) if event.type == "TaskScheduled"]) == 1


def test_a_step_fails_when_no_worker_has_had_its_function_for_a_while(bench: Bench) -> None:
    register(bench, "call", "other")
    ref = bench.start(TASK)
    handle_queued(bench)
    work_on(bench, GRACE - 5, "other")
    assert error_of(bench, ref) is None
    work_on(bench, 10, "other")
    assert error_of(bench, ref) == "FC.FunctionNotFound"


def test_a_worker_that_ends_later_extends_that_time(bench: Bench) -> None:
    register(bench, "other")
    ref = bench.start(TASK)
    handle_queued(bench)
    work_on(bench, GRACE - 5, "call")
    work_on(bench, GRACE - 10, "other")
    assert error_of(bench, ref) is None
    work_on(bench, 15, "other")
    assert error_of(bench, ref) == "FC.FunctionNotFound"


def test_refused_calls_are_no_crashes(bench: Bench) -> None:
    bench.build_container(max_crashes=1)
    register(bench, "call")
    ref = bench.start(TASK)
    handle_queued(bench)
    work_on(bench, 20, "call")
    starts = [event for event in bench.history(ref) if event.type == "TaskStarted"]
    assert len(starts) > 2
    bench.functions.register("call", lambda input, context: {"v": 1})
    work_on(bench, 15)
    assert bench.output(ref) == {"v": 1}


@pytest.mark.parametrize("seconds", [0.0, GRACE])
def test_a_step_fails_at_once_if_it_may_not_wait_or_no_worker_registers(bench: Bench, seconds: float) -> None:
    bench.build_container(function_grace=seconds)
    if not seconds:
        register(bench, "call")
    ref = bench.start(TASK)
    handle_queued(bench)
    assert error_of(bench, ref) == "FC.FunctionNotFound"


def test_a_stop_of_an_execution_ends_its_wait_for_a_worker(bench: Bench) -> None:
    register(bench, "call")
    ref = bench.start(TASK)
    key = bench.take()
    claimed = bench.claim(key)
    bench.container.engine.end(bench.key(ref), bench.container.reading.execution(ref).status.STOPPED, "", "")
    bench.container.engine.release(claimed, pause=5, reason="waits")
    assert bench.take_or_none() is None


def test_a_worker_keeps_its_functions_registered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from pollflow.runtime.registry import WorkerRegistry

    clock: list[Any] = [100.0]
    monkeypatch.setattr("pollflow.runtime.registry.time.monotonic", lambda: clock[0])
    functions = Functions()
    functions.register("call", lambda input, context: {})
    container = bench.container
    registry = WorkerRegistry(container.directory, container.reading, container.routes, container.settings, functions)
    registry.register()
    bench.pass_time(1000)
    registry.register_again()
    assert container.directory.functions(since=bench.now()) == []
    clock[0] += 10
    registry.register_again()
    assert container.directory.functions(since=bench.now()) == ["call"]
