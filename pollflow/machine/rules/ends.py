"""Pass, succeed and fail: they end when their message arrives."""

from __future__ import annotations

from pollflow.fdl.expr import MISSING, Path
from pollflow.fdl.model import FailStep, PassStep, SucceedStep
from pollflow.machine.data import over_size, size_of
from pollflow.machine.decision import Decision
from pollflow.machine.events import Arrived
from pollflow.machine.refused import StepRefused
from pollflow.machine.step_context import StepContext


def end_pass(ctx: StepContext, step: PassStep, event: Arrived) -> Decision:
    """End a pass step, which only applies its mappings."""
    return ctx.leave({})


def succeed(ctx: StepContext, step: SucceedStep, event: Arrived) -> Decision:
    """End the series, as `return` does."""
    return ctx.leave({})


def fail(ctx: StepContext, step: FailStep, event: Arrived) -> Decision:
    """Fail the execution."""
    return ctx.fail(_text(ctx, step, "error", step.error), _text(ctx, step, "cause", step.cause))


def _text(ctx: StepContext, step: FailStep, field: str, source: Path | str) -> str:
    if isinstance(source, str):
        return source
    value = source.read({"": ctx.input})
    if value is MISSING or value is None:
        return ""
    if not isinstance(value, str):
        raise StepRefused("FnF.RuntimeError", f"{field} of step {step.name!r}: {source.text} is not a text")
    size = size_of(value)
    if size > ctx.limits.payload_bytes:
        cause = over_size(f"{field} of step {step.name!r}", size, ctx.limits.payload_bytes)
        raise StepRefused("FnF.DataLimitExceeded", cause)
    return value
