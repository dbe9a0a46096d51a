"""Inline steps: the steps after an event that call nothing, decided at once and committed as one decision.

The events are those of the steps as tasks of their own, in the same order. The start of a wait is always inline: it
has no event, and the wait's task is the one that ends it.
"""

from __future__ import annotations

from dataclasses import replace

from pollflow.fdl.model import ChoiceStep, FailStep, Flow, PassStep, Step, SucceedStep, WaitStep
from pollflow.machine.data import step_at
from pollflow.machine.decide import decide
from pollflow.machine.decision import Decision, ScheduleCall, ScheduleStep
from pollflow.machine.events import Arrived, Event
from pollflow.machine.limits import Limits
from pollflow.machine.state import ExecutionInfo, FrameState, Phase

ONLY_WAITS: tuple[type[Step], ...] = (WaitStep,)
INLINE: tuple[type[Step], ...] = (PassStep, ChoiceStep, SucceedStep, FailStep, WaitStep)
"""The types of steps that run inline. Of a wait it is the start."""
MAX_INLINE_STEPS = 20
"""The steps that one commit adds: a loop without a wait must not keep one task busy."""
MAX_INLINE_BYTES = MAX_INLINE_STEPS * 32 * 1024
"""The data of these steps, if each has the maximum: with a higher maximum a commit adds fewer steps."""


def decide_inline(
    flow: Flow,
    state: FrameState,
    event: Event,
    *,
    info: ExecutionInfo,
    limits: Limits,
    at: float | None = None,
    types: tuple[type[Step], ...] = INLINE,
) -> Decision:
    """Return what follows from the event and from the steps of these types after it.

    `at` is the time in epoch seconds; None if unknown. Raises IllegalEvent if the step type has no rule for the event.
    """
    first = decision = decide(flow, state, event, info=info, limits=limits)
    for _ in range(min(MAX_INLINE_STEPS, MAX_INLINE_BYTES // limits.payload_bytes)):
        if decision.state is None or not continues_at_once(decision) or not _is_step(flow, decision.state, types):
            break
        if at is None and needs_time(flow, decision.state):
            break
        events = info.events + len(decision.history)
        try:
            further = decide(flow, decision.state, Arrived(at=at), info=replace(info, events=events), limits=limits)
        except Exception:
            break  # a fault of the engine: it is met and counted again in a task of that step, after this commit
        decision = replace(further, history=decision.history + further.history)
    return decision if decision is first else _led_to_by(decision, state)


def _led_to_by(decision: Decision, state: FrameState) -> Decision:
    """Return the decision with the entry that led to it in its message: the steps between have no message."""
    # The message that ends a wait has the number of the entry after it.
    entry = state.entry + 1 if state.phase is Phase.WAITING else state.entry
    match decision.wake:
        case ScheduleStep(metadata) | ScheduleCall(metadata):
            return replace(decision, wake=replace(decision.wake, metadata=replace(metadata, before=entry)))
    return decision


def continues_at_once(decision: Decision) -> bool:
    """Return whether the frame is at a step or call that can start now: it waits for no time, report or children."""
    wake, state = decision.wake, decision.state
    if state is None or state.phase is Phase.WAITING:
        return False
    if isinstance(wake, ScheduleStep):
        return wake.after == 0 and wake.at is None
    return isinstance(wake, ScheduleCall) and wake.after == 0


def needs_time(flow: Flow, state: FrameState) -> bool:
    """Return whether the step of a frame depends on the time: the start of a wait until a moment."""
    step = step_at(flow, state.levels[-1])
    return isinstance(step, WaitStep) and step.duration is None and state.phase is Phase.READY


def _is_step(flow: Flow, state: FrameState, types: tuple[type[Step], ...]) -> bool:
    return isinstance(step_at(flow, state.levels[-1]), types)
