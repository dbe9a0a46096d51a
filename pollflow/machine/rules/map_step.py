"""Parallel and foreach: children start in slices, at most `max_concurrency` at once; their locals join in order."""

from __future__ import annotations

from pollflow.fdl.expr import MISSING
from pollflow.fdl.model import ForeachStep, Json, JsonObject, ParallelStep, Series
from pollflow.machine.data import size_of
from pollflow.machine.decision import AwaitChildren, Decision, HistoryEvent
from pollflow.machine.events import Arrived, Joined
from pollflow.machine.state import FrameState, Join, Level, ParentFrame, Phase
from pollflow.machine.step_context import StepContext, StepRefused, metadata_of

_MAX_CHILDREN = 25
_MAX_BYTES = 64 * 1024
"""Of child inputs per commit. Each input is written three times: in the state and in two events."""


def branches(ctx: StepContext, step: ParallelStep, event: Arrived) -> Decision:
    """Start the branches, or the next slice of them."""
    return _fan_out(ctx, step, event.join, len(step.branches))


def iterates(ctx: StepContext, step: ForeachStep, event: Arrived) -> Decision:
    """Start the iterations, or the next slice of them."""
    collection = _collection(ctx, step)
    if not collection:
        return ctx.leave([])
    return _fan_out(ctx, step, event.join, len(collection))


def joins(ctx: StepContext, step: ParallelStep | ForeachStep, event: Joined) -> Decision:
    """End the step: its local is the list of the children's locals in order."""
    return ctx.leave(list(event.results))


def _fan_out(ctx: StepContext, step: ParallelStep | ForeachStep, join: Join | None, total: int) -> Decision:
    started = join is not None
    join = join or Join(total=total, made=0, ended=0)
    room = max(0, ctx.limits.max_concurrency - join.open)
    indices = range(join.made, min(join.made + min(room, _slice(ctx)), total))
    spawn: list[Decision] = []
    before = ctx.info.events + len(ctx.history)
    for index in indices:
        spawn.append(_child(ctx, step, index, before))
        before += len(spawn[-1].history)
    wake = AwaitChildren(metadata_of(step, ctx.state.entry), total=None if started else total)
    return ctx.goes_on(wake, spawn=tuple(spawn), phase=Phase.JOINING)


def _slice(ctx: StepContext) -> int:
    """Return how many children one commit starts, so that the bytes it writes stay bounded."""
    return max(1, min(_MAX_CHILDREN, _MAX_BYTES // max(1, size_of(ctx.input))))


def _child(ctx: StepContext, step: ParallelStep | ForeachStep, index: int, before: int) -> Decision:
    """The child at `index`; `before` is the number of events before its own, which are its entry and its step's."""
    series, extra, kind = _child_of(ctx, step, index)
    parent = ParentFrame(ctx.state.frame, ctx.state.entry, index)
    state = FrameState(
        frame=parent.child,
        input={**ctx.input, **extra},
        levels=(Level(series=series.path, step=0, local={}, entered=before + 2),),
        parent=parent,
    )
    child = StepContext(ctx.flow, state, ctx.info, ctx.limits)
    child.history.append(HistoryEvent(kind, step.name, {"index": index}))
    return child.entered()


def _child_of(ctx: StepContext, step: ParallelStep | ForeachStep, index: int) -> tuple[Series, JsonObject, str]:
    if isinstance(step, ParallelStep):
        return step.branches[index], {}, "BranchEntered"
    extra = {step.item: _collection(ctx, step)[index]}
    if step.index is not None:
        extra[step.index] = index
    return step.steps, extra, "IterationEntered"


def _collection(ctx: StepContext, step: ForeachStep) -> list[Json]:
    value = step.collection.read({"": ctx.input})
    if not isinstance(value, list):
        reason = "is missing" if value is MISSING else "is no list"
        cause = f"collection of step {step.name!r}: {step.collection.text} {reason}"
        raise StepRefused("FnF.RuntimeError", cause)
    return value
