"""Virtual time: ids, causes and times of events, and cases that flow test files cannot express."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pollflow import Context, EntityTooLarge, InvalidArgument, StoreUnavailable, TaskError
from pollflow.machine import Limits, Status
from pollflow.testing import Reply, Stop, VirtualRun, run_flow
from pollflow.testing.flows import as_flow

START = 1_767_225_600.0
TASK = {"type": "task", "name": "T", "resourceArn": "acs:fc:::services/s/functions/f"}


def flow(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"version": "v1", "type": "flow", "steps": list(steps), **fields}


def test_an_input_that_is_too_large_is_refused() -> None:
    with pytest.raises(EntityTooLarge, match="the input has 21 bytes, more than the limit of 20"):
        run_flow(flow(TASK), {"a": "0123456789 01"}, limits=Limits(payload_bytes=20))


def test_a_history_has_numbers_causes_and_times() -> None:
    definition = flow({"type": "wait", "name": "W", "duration": 2}, {**TASK, "end": True})
    result = run_flow(definition, functions={"f": [Reply({}, takes=0.5)]})
    events = [(event.id, event.cause, event.at - START, event.type, event.step) for event in result.history]
    assert events == [
        (1, 0, 0, "ExecutionStarted", ""),
        (2, 1, 0, "StepEntered", "W"),
        (3, 2, 0, "StepStarted", "W"),
        (4, 3, 2, "StepSucceeded", "W"),
        (5, 4, 2, "StepExited", "W"),
        (6, 5, 2, "StepEntered", "T"),
        (7, 6, 2, "StepStarted", "T"),
        (8, 7, 2, "TaskScheduled", "T"),
        (9, 8, 2, "TaskStarted", "T"),
        (10, 9, 2.5, "TaskSucceeded", "T"),
        (11, 10, 2.5, "StepSucceeded", "T"),
        (12, 11, 2.5, "StepExited", "T"),
        (13, 12, 2.5, "ExecutionSucceeded", ""),
    ]
    assert result.history[8].detail == {"attempt": 1, "start": 1}


def test_causes_of_the_events_of_branches() -> None:
    branch = {"steps": [{"type": "pass", "name": "A"}]}
    result = run_flow(flow({"type": "parallel", "name": "P", "branches": [branch, branch]}))
    events = [(event.id, event.cause, event.type) for event in result.history]
    assert events[2:] == [
        (3, 2, "StepStarted"),
        (4, 3, "BranchEntered"),
        (5, 4, "StepEntered"),
        (6, 5, "StepStarted"),
        (7, 3, "BranchEntered"),
        (8, 7, "StepEntered"),
        (9, 8, "StepStarted"),
        (10, 6, "StepSucceeded"),
        (11, 10, "StepExited"),
        (12, 11, "BranchExited"),
        (13, 9, "StepSucceeded"),
        (14, 13, "StepExited"),
        (15, 14, "BranchExited"),
        (16, 3, "StepSucceeded"),
        (17, 16, "StepExited"),
        (18, 17, "ExecutionSucceeded"),
    ]


def test_fractions_of_seconds_add_up_exactly() -> None:
    steps = [{"type": "wait", "name": f"W{n}", "duration": 0.1} for n in range(3)]
    assert run_flow(flow(*steps)).seconds == 0.3


def test_python_functions_reply_as_in_production() -> None:
    def function(input: dict[str, Any], context: Any) -> Any:
        if context.attempt == 1:
            raise LookupError("not yet")
        return {"key": context.idempotency_key, "t": (1, 2)}

    definition = flow({**TASK, "retry": [{"errors": ["LookupError"]}]})
    result = run_flow(definition, functions={"f": function})
    assert (result.output, result.seconds) == ({"key": "virtual-1/T/r.1/2", "t": [1, 2]}, 1)


def test_a_subclass_of_an_error_is_caught_by_its_base() -> None:
    class Mine(TaskError):
        pass

    def function(input: Any, context: Any) -> Any:
        raise Mine("Special", "c")

    definition = flow({**TASK, "catch": [{"errors": ["TaskError"], "goto": "A"}]}, {"type": "pass", "name": "A"})
    assert run_flow(definition, functions={"f": function}).status is Status.SUCCEEDED


async def slow(input: Any, context: Any) -> Any:
    return {"async": True}


def test_async_functions_are_awaited() -> None:
    assert run_flow(flow(TASK), functions={"f": slow}).output == {"async": True}


def test_a_function_gets_its_deadline() -> None:
    deadlines: list[Any] = []
    definition = flow({"type": "wait", "name": "W", "duration": 5}, {**TASK, "timeoutSeconds": 10})
    run_flow(definition, functions={"f": lambda input, context: deadlines.append(context.deadline) or {}})
    assert deadlines[0].isoformat() == "2026-01-01T00:00:15+00:00"


def test_a_sub_execution_has_its_own_result() -> None:
    child = flow({"type": "wait", "name": "W", "duration": 100})
    parent = flow({"type": "task", "name": "C", "resourceArn": "acs:fnf:::flow/child", "pattern": "sync"})
    result = run_flow(parent, {"a": 1}, flows={"child": child}, at=[Stop(3, "S", "c")])
    (sub,) = result.sub_executions
    assert (sub.flow, sub.status, sub.error, sub.cause, sub.seconds) == ("child", Status.STOPPED, "S", "c", 3)
    assert sub.history[0].detail == {"input": {"a": 1}}


def test_two_steps_wait_for_one_sub_execution() -> None:
    child = flow({"type": "wait", "name": "W", "duration": 4})
    call = {"type": "task", "resourceArn": "acs:fnf:::flow/child", "pattern": "sync"}
    branches = [{"steps": [{**call, "name": n, "serviceParams": {"ExecutionName": "one"}}]} for n in "AB"]
    result = run_flow(flow({"type": "parallel", "name": "P", "branches": branches}), flows={"child": child})
    assert (result.status, result.seconds, len(result.sub_executions)) == (Status.SUCCEEDED, 4, 1)


def test_many_iterations_succeed() -> None:
    each = {"iterationMapping": {"collection": "$.l", "item": "x"}, "steps": [{"type": "pass", "name": "A"}]}
    definition = flow({"type": "foreach", "name": "F", **each})
    limits = Limits(payload_bytes=1 << 20)
    result = run_flow(definition, {"l": [0] * 500}, limits=limits)
    assert (result.status, result.visits["A"]) == (Status.SUCCEEDED, 500)


def test_a_function_without_replies_is_refused() -> None:
    with pytest.raises(ValueError, match="has no replies"):
        run_flow(flow(TASK), functions={"f": []})


def test_a_run_can_be_repeated_exactly() -> None:
    child = flow({**TASK, "retry": [{"errors": ["E"], "intervalSeconds": 2}]})
    parent = flow({"type": "task", "name": "C", "resourceArn": "acs:fnf:::flow/child", "pattern": "sync"})
    replies = [Reply(raises=TaskError("E")), Reply(lost=True, takes=3), Reply({"a": 1})]
    one, other = (run_flow(parent, flows={"child": child}, functions={"f": replies}) for _ in range(2))
    assert one == other
    assert (one.status, one.seconds, one.output) == (Status.SUCCEEDED, 5, {"a": 1})


def test_a_function_may_run_another_flow() -> None:
    def function(input: dict[str, Any], context: Any) -> Any:
        return run_flow(flow({**TASK, "name": "Inner"}), functions={"f": [Reply({"inner": context.step})]}).output

    assert run_flow(flow(TASK), functions={"f": function}).output == {"inner": "T"}


def test_the_engine_logs_nothing_and_functions_log(caplog: pytest.LogCaptureFixture) -> None:
    def function(input: dict[str, Any], context: Any) -> Any:
        context.logger.warning("called")
        return Reply(lost=True) if len(caplog.records) < 2 else {}

    run_flow(flow(TASK), functions={"f": function})
    assert [record.name for record in caplog.records] == ["pollflow.function"] * 2


CONSTANT = {**TASK, "inputMappings": [{"target": "seen", "source": [0]}, {"target": "given", "source": "$input.given"}]}


def test_a_function_cannot_change_what_the_flow_keeps() -> None:
    def changes(input: dict[str, Any], context: Context) -> dict[str, Any]:
        input["seen"].append(1)
        input["given"]["list"].append(1)
        return kept

    kept: dict[str, Any] = {"n": [1]}
    loaded = as_flow(flow(CONSTANT, {**TASK, "name": "U", "inputMappings": CONSTANT["inputMappings"]}))
    given: dict[str, Any] = {"given": {"list": []}}
    for _ in range(2):
        result = run_flow(loaded, given, functions={"f": changes})
        assert [call.input for call in result.calls] == [{"seen": [0], "given": {"list": []}}] * 2
        for call in result.calls:
            call.input["seen"].append("by the test")
        assert result.output == {"n": [1]}
    assert (given, kept) == ({"given": {"list": []}}, {"n": [1]})


def test_an_input_that_is_changed_after_the_run_was_made_stays() -> None:
    given = {"list": [1]}
    run = VirtualRun(
        as_flow(flow({"type": "pass", "name": "P", "outputMappings": [{"target": "list", "source": "$input.list"}]})),
        given,
    )
    given["list"].append(2)
    assert run.run().output == {"list": [1]}


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), GeneratorExit(), SystemExit(3), StoreUnavailable("away"), KeyError("missing")]
)
def test_what_a_function_raises_is_the_error_of_its_step(error: BaseException) -> None:
    def fails(input: dict[str, Any], context: Context) -> None:
        raise error

    name = type(error).__name__
    result = run_flow(flow(TASK), functions={"f": fails})
    assert (result.status, result.error, len(result.calls)) == (Status.FAILED, name, 1)
    retried = {**TASK, "retry": [{"errors": ["BaseException"], "maxAttempts": 2}]}
    caught = {**retried, "catch": [{"errors": [name], "goto": "Caught"}]}
    result = run_flow(flow({**caught, "end": True}, {"type": "succeed", "name": "Caught"}), functions={"f": fails})
    assert (result.status, len(result.calls)) == (Status.SUCCEEDED, 3)


class Odd(BaseException):
    """An exception whose class hides what it is."""

    __module__ = None  # type: ignore[assignment]

    @property
    def __class__(self) -> Any:
        raise AttributeError("hidden")


def test_an_exception_that_hides_its_class_is_the_error_of_its_step() -> None:
    def fails(input: dict[str, Any], context: Context) -> None:
        raise Odd("hidden")

    assert run_flow(flow(TASK), functions={"f": fails}).error == "Odd"


def test_what_ends_a_test_is_no_error_of_a_step() -> None:
    def calls(error: BaseException) -> Any:
        def function(input: dict[str, Any], context: Context) -> None:
            raise error

        return function

    caught = {**TASK, "catch": [{"errors": ["FnF.ALL"], "goto": "Caught"}], "end": True}
    definition = flow(caught, {"type": "succeed", "name": "Caught"})
    for error in (KeyboardInterrupt(), pytest.fail.Exception("must not be called"), pytest.skip.Exception("no")):
        with pytest.raises(type(error)):
            run_flow(definition, functions={"f": calls(error)})


def test_a_function_that_cannot_be_called_is_refused_before_the_run() -> None:
    with pytest.raises(InvalidArgument, match=r"cannot be called with \(input, context\)"):
        run_flow(flow(TASK), functions={"f": lambda input: {}})
