"""Decide what happens next. No other module does.

Every change of a frame is a rule of the table below, selected by the type of the current step and the type of the
event. A pair that is not in the table is illegal and changes nothing. The rules do not know the time, Redis or
Celery; the same arguments always give the same decision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pollflow.amounts import over_limit
from pollflow.errors import EntityTooLarge, PollflowError
from pollflow.fdl.model import (
    ChoiceStep,
    FailStep,
    Flow,
    ForeachStep,
    JsonObject,
    ParallelStep,
    PassStep,
    Step,
    SucceedStep,
    TaskStep,
    WaitStep,
)
from pollflow.machine.data import flow_input
from pollflow.machine.decision import Decision, HistoryEvent
from pollflow.machine.events import (
    Arrived,
    Event,
    Joined,
    Raised,
    ReportedFailed,
    ReportedSucceeded,
    Returned,
    Submitted,
    TimedOut,
)
from pollflow.machine.limits import NO_LIMIT, Limits
from pollflow.machine.refused import StepRefused
from pollflow.machine.rules import choice, ends, map_step, task, wait
from pollflow.machine.state import ROOT, ExecutionInfo, FrameState, Level
from pollflow.machine.step_context import StepContext

Rule = Callable[[StepContext, Any, Any], Decision]

RULES: dict[tuple[type[Step], type[Event]], Rule] = {
    (PassStep, Arrived): ends.end_pass,
    (SucceedStep, Arrived): ends.succeed,
    (FailStep, Arrived): ends.fail,
    (WaitStep, Arrived): wait.start_or_end,
    (ChoiceStep, Arrived): choice.choose,
    (TaskStep, Returned): task.returned,
    (TaskStep, Raised): task.raised,
    (TaskStep, Submitted): task.submitted,
    (TaskStep, ReportedSucceeded): task.reported_succeeded,
    (TaskStep, ReportedFailed): task.reported_failed,
    (TaskStep, TimedOut): task.timed_out,
    (ParallelStep, Arrived): map_step.start_branches,
    (ParallelStep, Joined): map_step.end,
    (ForeachStep, Arrived): map_step.start_iterations,
    (ForeachStep, Joined): map_step.end,
}


class IllegalEvent(PollflowError):
    """The step type has no rule for the event."""


def begin(flow: Flow, execution_input: JsonObject, info: ExecutionInfo, limits: Limits, by: str = "") -> Decision:
    """Return the first decision of an execution that `by` starts: its root frame at the first step.

    Raises EntityTooLarge if mappings would copy the input too often.
    """
    try:
        return _begin(flow, execution_input, info, limits, by)
    except StepRefused as refused:
        raise EntityTooLarge(refused.cause) from refused


def begin_reads_time(flow: Flow) -> bool:
    """Return whether the first decision may depend on the time of the start: only mappings read `$context`."""
    first = flow.series[flow.steps.path].steps[0]
    return flow.input_mappings is not None or first.input_mappings is not None


def _begin(flow: Flow, execution_input: JsonObject, info: ExecutionInfo, limits: Limits, by: str) -> Decision:
    started = HistoryEvent("ExecutionStarted", "", {"input": execution_input}, by)
    state = FrameState(
        frame=ROOT,
        input=flow_input(flow, execution_input, info),
        levels=(Level(series=flow.steps.path, step=0, local={}, entered=2),),
    )
    # Record the start without a size check; the first step fails at its end if the data exceeds the limit.
    ctx = StepContext(flow, state, info, replace(limits, payload_bytes=NO_LIMIT))
    ctx.history.append(started)
    return ctx.start_step()


def decide(flow: Flow, state: FrameState, event: Event, *, info: ExecutionInfo, limits: Limits) -> Decision:
    """Return what follows from the event. Raises IllegalEvent if the step type has no rule for it."""
    ctx = StepContext(flow, state, info, limits)
    rule = RULES.get((type(ctx.step), type(event)))
    if rule is None:
        raise IllegalEvent(f"a {ctx.step.type} step has no rule for the event {type(event).__name__}")
    if info.events >= limits.events:
        cause = over_limit(f"the execution would have {info.events + 1:,} events", limits.events, "max_events")
        return ctx.fail("FnF.EventLimitExceeded", cause)
    try:
        return rule(ctx, ctx.step, event)
    except StepRefused as refused:
        return ctx.fail(refused.error, refused.cause)
