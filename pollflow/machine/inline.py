"""Inline steps: the steps after an event that call nothing, decided at once and committed as one decision.

The events are those of the steps as tasks of their own, in the same order.
"""

from __future__ import annotations

from dataclasses import replace

from pollflow.fdl.model import ChoiceStep, FailStep, Flow, PassStep, SucceedStep, WaitStep
from pollflow.machine.data import step_at
from pollflow.machine.decide import decide
from pollflow.machine.decision import Decision, ScheduleCall, ScheduleStep
from pollflow.machine.events import Arrived, Event
from pollflow.machine.limits import Limits
from pollflow.machine.state import ExecutionInfo, FrameState, Phase

INLINE = (PassStep, ChoiceStep, SucceedStep, FailStep, WaitStep)
"""The types of steps that run inline. Of a wait it is the start."""
MAX_INLINE_STEPS = 20
"""The steps that one commit adds: a loop without a wait must not keep one task busy."""
MAX_INLINE_BYTES = MAX_INLINE_STEPS * 32 * 1024
"""The data of these steps, if each has the maximum: with a higher maximum a commit adds fewer steps."""


def decide_inline(
    flow: Flow, state: FrameState, event: Event, *, info: ExecutionInfo, limits: Limits, at: float | None = None
) -> Decision:
    """Return what follows from the event and from the inline steps after it.

    `at` is the time in epoch seconds; None if unknown. Raises IllegalEvent if the step type has no rule for the event.
    """
    decision = decide(flow, state, event, info=info, limits=limits)
    for _ in range(min(MAX_INLINE_STEPS, MAX_INLINE_BYTES // limits.payload_bytes)):
        if decision.state is None or not continues_at_once(decision) or not _is_inline(flow, decision.state):
            break
        events = info.events + len(decision.history)
        try:
            further = decide(flow, decision.state, Arrived(at=at), info=replace(info, events=events), limits=limits)
        except Exception:
            break  # a fault of the engine: it is met and counted again in a task of that step, after this commit
        decision = replace(further, history=decision.history + further.history)
    return decision


def continues_at_once(decision: Decision) -> bool:
    """Return whether the frame is at a step or call that can start now: it waits for no time, report or children."""
    wake, state = decision.wake, decision.state
    if state is None or state.phase is Phase.WAITING:
        return False
    if isinstance(wake, ScheduleStep):
        return wake.after == 0 and wake.at is None
    return isinstance(wake, ScheduleCall) and wake.after == 0


def _is_inline(flow: Flow, state: FrameState) -> bool:
    return isinstance(step_at(flow, state.levels[-1]), INLINE)
