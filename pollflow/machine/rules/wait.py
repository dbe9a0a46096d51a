"""Wait: the first event starts the wait; the second, when due, ends it."""

from __future__ import annotations

import math

from pollflow.amounts import duration as duration_text
from pollflow.amounts import over_limit
from pollflow.fdl.expr import Path
from pollflow.fdl.model import WaitStep
from pollflow.fdl.moments import parse_moment
from pollflow.machine.decision import Decision, ScheduleStep
from pollflow.machine.events import Arrived
from pollflow.machine.refused import StepRefused
from pollflow.machine.state import Phase
from pollflow.machine.step_context import StepContext


def start_or_end(ctx: StepContext, step: WaitStep, event: Arrived) -> Decision:
    """Start the wait, or end it when it is due."""
    if ctx.state.phase is Phase.WAITING:
        return ctx.leave({})
    metadata = ctx.next_metadata()
    if step.duration is not None:
        seconds = _seconds(ctx, step, step.duration)
        return ctx.stay(ScheduleStep(metadata, after=seconds), phase=Phase.WAITING)
    moment = _moment(ctx, step, step.timestamp)
    if event.at is not None and moment - event.at > ctx.limits.max_wait_seconds:
        raise _too_long(ctx, step, "timestamp", moment - event.at)
    # A time long ago ends the wait at once. Not every clock can represent the first years.
    return ctx.stay(ScheduleStep(metadata, at=max(moment, 0.0)), phase=Phase.WAITING)


def _seconds(ctx: StepContext, step: WaitStep, duration: Path | float) -> float:
    value = duration.read({"": ctx.input}) if isinstance(duration, Path) else duration
    # Compare before any conversion: an integer may be too large for a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise _refused(step, "duration", duration, "a number of seconds, 0 or more")
    if value > ctx.limits.max_wait_seconds:
        raise _too_long(ctx, step, "duration", value)
    return float(value)


def _moment(ctx: StepContext, step: WaitStep, timestamp: Path | float | None) -> float:
    if not isinstance(timestamp, Path):
        return timestamp or 0.0
    value = timestamp.read({"": ctx.input})
    moment = parse_moment(value) if isinstance(value, str) else None
    if moment is None:
        raise _refused(step, "timestamp", timestamp, "an RFC 3339 time with its offset")
    return moment


def _refused(step: WaitStep, field: str, source: Path | float, expected: str) -> StepRefused:
    value = source.text if isinstance(source, Path) else repr(source)
    return StepRefused("FnF.RuntimeError", f"{field} of step {step.name!r}: {value} must be {expected}")


def _too_long(ctx: StepContext, step: WaitStep, field: str, seconds: float) -> StepRefused:
    statement = f"{field} of step {step.name!r}: the wait takes {duration_text(seconds)}"
    limit = over_limit(statement, duration_text(ctx.limits.max_wait_seconds), "max_wait")
    return StepRefused("FnF.RuntimeError", limit)
