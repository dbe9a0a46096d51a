"""A result or report counts only until the deadline of its attempt."""

from __future__ import annotations

from typing import Any

import pytest

from pollflow import TaskAlreadyCompleted, TaskError
from pollflow.machine import Raised, ReportedFailed, ReportedSucceeded, Returned, Status
from tests.contract.conftest import Bench
from tests.contract.sub_flows import CHILD_REF, run_until_idle, token_of
from tests.flows import CALLBACK, RETRIES, TIMED_PARENT, TIMED_TASK, WAIT


@pytest.mark.parametrize("seconds", [9.999999, 10, 10.000001, 3600])
@pytest.mark.parametrize("event", [Returned({"v": 1}), Raised("Broken")], ids=["result", "error"])
def test_a_result_counts_until_the_deadline(bench: Bench, seconds: float, event: Any) -> None:
    ref = bench.start(TIMED_TASK)
    claimed = bench.claim()
    bench.pass_time(seconds)
    bench.container.engine.advance(claimed, event)
    record = bench.container.reading.execution(ref)
    if seconds > 10:
        assert (record.error, record.cause) == ("FnF.TaskTimeout", "no result within 10 s")
    else:
        assert (record.output, record.error) == (({"v": 1}, None) if event == Returned({"v": 1}) else (None, "Broken"))


def test_a_function_that_returns_too_late_times_out_and_is_retried(bench: Bench) -> None:
    """The deadline is that of the attempt, and the retry has one of its own."""
    text = RETRIES.replace("Busy", "FnF.TaskTimeout") + "    timeoutSeconds: 10\n"

    def call(input: Any, context: Any) -> Any:
        bench.pass_time(11 if context.attempt == 1 else 9)
        return {"attempt": context.attempt}

    bench.functions.register("call", call)
    ref = bench.start(text)
    bench.handle_next()
    bench.pass_time(11)
    bench.handle_next()
    assert bench.output(ref) == {"attempt": 2}
    assert [event.type for event in bench.history(ref) if event.type.startswith("Task")] == [
        "TaskScheduled",
        "TaskStarted",
        "TaskTimedOut",
        "TaskScheduled",
        "TaskStarted",
        "TaskSucceeded",
    ]


@pytest.mark.parametrize("event", [ReportedSucceeded({"v": 1}), ReportedFailed("Broken")])
def test_a_report_after_the_deadline_is_refused(bench: Bench, event: Any) -> None:
    bench.returns("ask", {})
    ref = bench.start(CALLBACK)
    bench.work()
    token = token_of(bench, ref)
    bench.pass_time(100.5)
    with pytest.raises(TaskAlreadyCompleted):
        bench.container.engine.report(token, event)
    assert bench.container.reading.execution(ref).error == "FnF.TaskTimeout"


def test_the_late_end_of_a_sub_flow_does_not_count(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(TIMED_PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    bench.work()
    bench.pass_time(10.5)
    bench.container.engine.end(bench.key(CHILD_REF), Status.STOPPED, "Broken", "by hand")
    run_until_idle(bench)
    assert bench.output(ref) == {"error": "FnF.TaskTimeout", "cause": "no result within 10 s"}


def test_a_late_result_of_an_iteration_times_out(bench: Bench) -> None:
    text = """
version: v1
type: flow
steps:
  - type: parallel
    name: Both
    branches:
      - steps:
          - {type: task, name: Call, resourceArn: "acs:fc:::services/s/functions/call", timeoutSeconds: 10}
"""
    ref = bench.start(text)
    bench.handle_next()
    claimed = bench.claim()
    bench.pass_time(11)
    bench.container.engine.advance(claimed, Returned({}))
    assert bench.container.reading.execution(ref).error == "FnF.TaskTimeout"


def test_a_repeated_commit_is_recognized_after_the_deadline(bench: Bench) -> None:
    """The reply of the commit was lost, and the deadline has passed since."""
    bench.returns("call", TaskError("Busy"))
    ref = bench.start(RETRIES + "    timeoutSeconds: 10\n")
    claimed = bench.claim()
    run, replies = bench.container.store.scripts.run, list[Any]()

    def run_twice(script: Any, keys: Any) -> Any:
        replies.append(run(script, keys))
        bench.pass_time(11)
        return run(script, keys)

    bench.container.store.scripts.run = run_twice  # type: ignore[method-assign]
    bench.container.engine.advance(claimed, Raised("Busy"))
    bench.container.store.scripts.run = run  # type: ignore[method-assign]
    assert len(replies) == 1
    assert [event.type for event in bench.history(ref)][-1] == "TaskScheduled"
