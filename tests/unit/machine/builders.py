"""Builders of flows, frame states, events and decisions for the tests of the machine."""

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

INFO = ExecutionInfo("polling", "x", "id", started_at=1_767_225_600.0, secret="s", events=10)
ARN = "acs:fc:::services/s/functions/f"


def flow_of(*steps: dict[str, Any], **fields: Any) -> Flow:
    """Return a flow of the steps; `fields` are further fields of the flow."""
    return read_flow(json.dumps({"version": "v1", "type": "flow", "steps": list(steps), **fields}))


def step(type_: str, name: str, **fields: Any) -> dict[str, Any]:
    if type_ == "task" and "action" not in fields:
        fields.setdefault("resourceArn", ARN)
    return {"type": type_, "name": name, **fields}


def maps(**sources: Any) -> list[dict[str, Any]]:
    return [{"target": target, "source": source} for target, source in sources.items()]


def at(position: int = 0, input: Any = None, local: Any = None, **changes: Any) -> FrameState:
    """Return the root frame at a step of the top-level series that was entered by event 9."""
    return FrameState(ROOT, input or {}, (Level("steps", position, local or {}, entered=9),), **changes)


def after(flow: Flow, state: FrameState, event: Event, **limits: Any) -> Decision:
    return decide(flow, state, event, info=INFO, limits=Limits(**limits))


def event(type_: str, step_name: str = "", **detail: Any) -> HistoryEvent:
    return HistoryEvent(type_, step_name, detail)


def entered(name: str, input: Any = None, local: Any = None, mapped: Any = None) -> tuple[HistoryEvent, ...]:
    """Return the events of entering a step other than a task. `mapped` is its input after input mappings."""
    input, local = input or {}, local or {}
    mapped = {**input, **local} if mapped is None else mapped
    return event("StepEntered", name, input=input, local=local), event("StepStarted", name, input=mapped)


def scheduled(name: str, input: Any = None, local: Any = None, mapped: Any = None) -> tuple[HistoryEvent, ...]:
    """Return the events of entering a task step."""
    return (*entered(name, input, local, mapped), event("TaskScheduled", name, resourceArn=ARN, attempt=1))


def left(name: str, output: Any = None, local: Any = None) -> tuple[HistoryEvent, ...]:
    """Return the events of leaving a step. `local` is the local of its series afterwards."""
    return event("StepSucceeded", name, output=output or {}), event("StepExited", name, local=local or {})


def failed(*names: str, error: str, cause: str = "") -> tuple[HistoryEvent, ...]:
    """Return the events of a failure that is not caught, from the innermost step outwards."""
    steps = tuple(event("StepFailed", name, error=error, cause=cause) for name in names)
    return (*steps, event("ExecutionFailed", error=error, cause=cause))


def at_next(state: FrameState, position: int, local: Any = None, events: int = 0) -> FrameState:
    """Return the state after entering the step at `position`, `events` events after the last known one."""
    level = Level("steps", position, local or {}, entered=INFO.events + events + 1)
    return replace(state, levels=(level,), entry=state.entry + 1, phase=Phase.READY, attempt=1, retries=())
