"""Words for tests of the machine: a flow in few lines, a frame at one of its steps, an event, the whole decision."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pollflow.fdl import Flow, read_flow
from pollflow.machine import (
    ROOT,
    Decision,
    Event,
    ExecutionInfo,
    FrameState,
    HistoryEvent,
    Level,
    Limits,
    Phase,
    decide,
)

ABOUT = ExecutionInfo("polling", "x", "id", started_at=1_767_225_600.0, secret="s", events=10)
ARN = "acs:fc:::services/s/functions/f"


def flow_of(*steps: dict[str, Any], **fields: Any) -> Flow:
    """A flow of steps as the language spells them; what is no field of a step gets its default."""
    return read_flow(json.dumps({"version": "v1", "type": "flow", "steps": list(steps), **fields}))


def step(type_: str, name: str, **fields: Any) -> dict[str, Any]:
    if type_ == "task" and "action" not in fields:
        fields.setdefault("resourceArn", ARN)
    return {"type": type_, "name": name, **fields}


def maps(**sources: Any) -> list[dict[str, Any]]:
    return [{"target": target, "source": source} for target, source in sources.items()]


def at(position: int = 0, input: Any = None, local: Any = None, **changes: Any) -> FrameState:
    """The root frame at a step of the flow's own series, which was entered by event 9."""
    return FrameState(ROOT, input or {}, (Level("steps", position, local or {}, entered=9),), **changes)


def after(flow: Flow, state: FrameState, event: Event, **limits: Any) -> Decision:
    return decide(flow, state, event, info=ABOUT, limits=Limits(**limits))


def event(type_: str, step_name: str = "", **detail: Any) -> HistoryEvent:
    return HistoryEvent(type_, step_name, detail)


def entered(name: str, input: Any = None, local: Any = None, taken: Any = None) -> tuple[HistoryEvent, ...]:
    """The events of entering a step that is no task. `taken` is its input, if mapped."""
    input, local = input or {}, local or {}
    taken = {**input, **local} if taken is None else taken
    return event("StepEntered", name, input=input, local=local), event("StepStarted", name, input=taken)


def scheduled(name: str, input: Any = None, local: Any = None, taken: Any = None) -> tuple[HistoryEvent, ...]:
    """The events of entering a task step."""
    return (*entered(name, input, local, taken), event("TaskScheduled", name, resourceArn=ARN, attempt=1))


def left(name: str, output: Any = None, local: Any = None) -> tuple[HistoryEvent, ...]:
    """The events of leaving a step; `local` is the parent's, afterwards."""
    return event("StepSucceeded", name, output=output or {}), event("StepExited", name, local=local or {})


def failed(*names: str, error: str, cause: str = "") -> tuple[HistoryEvent, ...]:
    """The events of a failure that nothing catches, from the innermost step out."""
    steps = tuple(event("StepFailed", name, error=error, cause=cause) for name in names)
    return (*steps, event("ExecutionFailed", error=error, cause=cause))


def at_next(state: FrameState, position: int, local: Any = None, events: int = 0) -> FrameState:
    """The state after entering the step at `position`, `events` events after those the frame knew of."""
    level = Level("steps", position, local or {}, entered=ABOUT.events + events + 1)
    return replace(state, levels=(level,), entry=state.entry + 1, phase=Phase.READY, attempt=1, retries=())
