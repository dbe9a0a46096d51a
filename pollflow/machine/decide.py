"""What happens next. This is the only place that knows.

The law of the file: every change of a frame is a rule of the table below, chosen by the type of the step that the
frame is at and the type of what happened. A pair that is not in the table is illegal and changes nothing. In here
nobody knows the time, Redis or Celery; the same arguments give the same decision for ever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pollflow.errors import PollflowError
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
from pollflow.machine.rules import choice, ends, task, wait, wide
from pollflow.machine.state import ROOT, About, FrameState, Level
from pollflow.machine.walk import Limits, StepRefused, Walk

Rule = Callable[[Walk, Any, Any], Decision]

RULES: dict[tuple[type[Step], type[Event]], Rule] = {
    (PassStep, Arrived): ends.passes,
    (SucceedStep, Arrived): ends.succeeds,
    (FailStep, Arrived): ends.fails,
    (WaitStep, Arrived): wait.waits,
    (ChoiceStep, Arrived): choice.chooses,
    (TaskStep, Returned): task.returned,
    (TaskStep, Raised): task.raised,
    (TaskStep, Submitted): task.submitted,
    (TaskStep, ReportedSucceeded): task.reported_succeeded,
    (TaskStep, ReportedFailed): task.reported_failed,
    (TaskStep, TimedOut): task.timed_out,
    (ParallelStep, Arrived): wide.branches,
    (ParallelStep, Joined): wide.joins,
    (ForeachStep, Arrived): wide.iterates,
    (ForeachStep, Joined): wide.joins,
}


class IllegalEvent(PollflowError):
    """The step cannot meet such an event."""


def begin(flow: Flow, execution_input: JsonObject, about: About, limits: Limits) -> Decision:
    """The first decision of an execution: its root frame, at the first step."""
    started = HistoryEvent("ExecutionStarted", "", {"input": execution_input})
    state = FrameState(
        frame=ROOT,
        input=flow_input(flow, execution_input, about),
        levels=(Level(series=flow.steps.path, step=0, local={}, entered=2),),
    )
    # What starts is recorded; data over the limit is refused where the first step ends.
    walk = Walk(flow, state, about, replace(limits, data_bytes=sys.maxsize))
    walk.history.append(started)
    return walk.entered()


def decide(flow: Flow, state: FrameState, event: Event, *, about: About, limits: Limits) -> Decision:
    """What follows for the frame. Raises IllegalEvent for what the step cannot meet."""
    walk = Walk(flow, state, about, limits)
    rule = RULES.get((type(walk.step), type(event)))
    if rule is None:
        raise IllegalEvent(f"a {walk.step.type} step cannot meet {type(event).__name__}")
    if about.events >= limits.events:
        cause = f"the execution has {about.events} events; {limits.events} are allowed"
        return walk.fail("FnF.EventLimitExceeded", cause)
    try:
        return rule(walk, walk.step, event)
    except StepRefused as refused:
        return walk.fail(refused.error, refused.cause)
