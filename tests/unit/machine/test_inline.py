"""Inline steps: which steps a decision adds, and where it stops."""

from __future__ import annotations

from typing import Any

import pytest

from pollflow.fdl import Flow
from pollflow.fdl.model import WaitStep
from pollflow.machine import (
    Arrived,
    Decision,
    Event,
    FrameState,
    Limits,
    Phase,
    Returned,
    ScheduleCall,
    ScheduleStep,
    Status,
    decide_inline,
)
from pollflow.machine.decide import RULES
from pollflow.machine.inline import MAX_INLINE_STEPS
from tests.unit.machine.builders import INFO, at, flow_of, step

DONE = {"condition": "$.done", "goto": "End"}
POLL = flow_of(
    step("wait", "Pause", duration=5),
    step("task", "Ask"),
    step("choice", "Look", choices=[DONE], default={"goto": "Pause"}),
    step("succeed", "End"),
)


def inline(flow: Flow, state: FrameState, event: Event, **limits: Any) -> Decision:
    return decide_inline(flow, state, event, info=INFO, limits=Limits(**limits))


def steps_of(decision: Decision) -> list[str]:
    return [event.step for event in decision.history if event.type == "StepEntered"]


def test_a_result_is_decided_up_to_the_start_of_the_next_wait() -> None:
    decision = inline(POLL, at(1), Returned({"done": False}))
    assert steps_of(decision) == ["Look", "Pause"]
    assert isinstance(decision.wake, ScheduleStep) and decision.wake.after == 5
    assert decision.state is not None and decision.state.phase is Phase.WAITING


def test_a_result_is_decided_up_to_the_end_of_the_execution() -> None:
    decision = inline(POLL, at(1), Returned({"done": True}))
    assert steps_of(decision) == ["Look", "End"]
    assert decision.outcome is not None and decision.outcome.status is Status.SUCCEEDED


def test_the_end_of_a_wait_is_decided_up_to_the_call() -> None:
    decision = inline(POLL, at(0, phase=Phase.WAITING), Arrived())
    assert steps_of(decision) == ["Ask"]
    assert isinstance(decision.wake, ScheduleCall)


@pytest.mark.parametrize(
    "last",
    [
        step("parallel", "Last", branches=[{"steps": [step("pass", "A")]}]),
        step("foreach", "Last", iterationMapping={"collection": "$.x", "item": "i"}, steps=[step("pass", "A")]),
        step("task", "Last"),
    ],
    ids=["parallel", "foreach", "task"],
)
def test_steps_that_call_or_start_branches_wait_for_a_task_of_their_own(last: dict[str, Any]) -> None:
    decision = inline(flow_of(step("pass", "First"), step("pass", "Second"), last), at(0), Arrived())
    assert steps_of(decision) == ["Second", "Last"]
    assert decision.state is not None and decision.state.phase is Phase.READY


def test_a_wait_of_no_time_waits_for_its_message() -> None:
    flow = flow_of(step("pass", "First"), step("wait", "Pause", duration=0), step("pass", "Last"))
    decision = inline(flow, at(0), Arrived())
    assert steps_of(decision) == ["Pause"]
    assert decision.state is not None and decision.state.phase is Phase.WAITING


def test_a_fail_step_fails_the_execution_inline() -> None:
    decision = inline(flow_of(step("pass", "First"), step("fail", "Last", error="E")), at(0), Arrived())
    assert decision.outcome is not None and (decision.outcome.status, decision.outcome.error) == (Status.FAILED, "E")


def test_an_endless_loop_continues_in_another_task() -> None:
    flow = flow_of(step("choice", "Loop", default={"goto": "Loop"}))
    decision = inline(flow, at(0), Arrived())
    assert steps_of(decision) == ["Loop"] * (MAX_INLINE_STEPS + 1)
    assert isinstance(decision.wake, ScheduleStep)


def test_large_data_allows_fewer_steps() -> None:
    flow = flow_of(step("choice", "Loop", default={"goto": "Loop"}))
    assert len(steps_of(inline(flow, at(0), Arrived(), payload_bytes=320 * 1024))) == 3
    assert len(steps_of(inline(flow, at(0), Arrived(), payload_bytes=1 << 20))) == 1


def test_a_fault_in_a_later_step_does_not_prevent_the_commit_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Decision:
        raise ZeroDivisionError

    monkeypatch.setitem(RULES, (WaitStep, Arrived), fails)
    decision = inline(POLL, at(1), Returned({"done": False}))
    assert steps_of(decision) == ["Look", "Pause"]
    assert decision.state is not None and decision.state.phase is Phase.READY


def test_the_limit_of_events_counts_the_steps_before() -> None:
    flow = flow_of(step("choice", "Loop", default={"goto": "Loop"}))
    decision = inline(flow, at(0), Arrived(), events=INFO.events + 10)
    assert decision.outcome is not None and decision.outcome.error == "FnF.EventLimitExceeded"
    # Each visit has four events; the rule fails at the first visit that begins at the limit or after it.
    assert len(steps_of(decision)) == 3
