"""Parallel and foreach: start children in slices, at most `max_concurrency` at once, and collect their locals."""

from __future__ import annotations

from typing_extensions import assert_never

from pollflow.amounts import over_limit
from pollflow.fdl.expr import MISSING
from pollflow.fdl.model import ForeachStep, Json, JsonObject, MapStep, ParallelStep, Series
from pollflow.machine.data import size_of
from pollflow.machine.decision import AwaitChildren, Decision, HistoryEvent
from pollflow.machine.events import Arrived, Joined
from pollflow.machine.limits import MAX_RESULTS_BYTES
from pollflow.machine.refused import StepRefused
from pollflow.machine.state import FrameState, Join, Level, ParentFrame, Phase
from pollflow.machine.step_context import StepContext

_MAX_CHILDREN = 25
_MAX_BYTES = 64 * 1024
"""The limit of child inputs per commit. Each input is written three times: in the state and in two events."""


def start_branches(ctx: StepContext, step: ParallelStep, event: Arrived) -> Decision:
    """Start the branches, or the next slice of them."""
    return _fan_out(ctx, step, event.join, len(step.branches))


def start_iterations(ctx: StepContext, step: ForeachStep, event: Arrived) -> Decision:
    """Start the iterations, or the next slice of them."""
    collection = _collection(ctx, step)
    if not collection:
        return ctx.leave([])
    return _fan_out(ctx, step, event.join, len(collection))


def end(ctx: StepContext, step: MapStep, event: Joined) -> Decision:
    """End the step: its local is the list of the children's locals in order."""
    if event.results is None:
        found = f"the locals of all branches or iterations have at least {MAX_RESULTS_BYTES + 1:,} bytes"
        raise StepRefused("FnF.DataLimitExceeded", over_limit(found, MAX_RESULTS_BYTES))
    return ctx.leave(list(event.results))


def _fan_out(ctx: StepContext, step: MapStep, join: Join | None, total: int) -> Decision:
    started = join is not None
    join = join or Join(total=total, made=0, ended=0)
    free = max(0, ctx.limits.max_concurrency - join.open)
    indices = range(join.made, min(join.made + min(free, _slice(ctx)), total))
    spawn: list[Decision] = []
    events = ctx.info.events + len(ctx.history)
    for index in indices:
        spawn.append(_child(ctx, step, index, events))
        events += len(spawn[-1].history)
    wake = AwaitChildren(ctx.metadata(), total=None if started else total)
    return ctx.stay(wake, spawn=tuple(spawn), phase=Phase.JOINING)


def _slice(ctx: StepContext) -> int:
    """Return how many children one commit starts, so that the bytes it writes stay bounded."""
    return max(1, min(_MAX_CHILDREN, _MAX_BYTES // max(1, size_of(ctx.input))))


def _child(ctx: StepContext, step: MapStep, index: int, events: int) -> Decision:
    """Return the first decision of the child at `index`; `events` is the number of history events before it."""
    series, extra, kind = _child_of(ctx, step, index)
    parent = ParentFrame(ctx.state.frame, ctx.state.entry, index)
    # The first two events of the child are its own entry and the entry of its first step.
    state = FrameState(
        frame=parent.child,
        input={**ctx.input, **extra},
        levels=(Level(series=series.path, step=0, local={}, entered=events + 2),),
        parent=parent,
    )
    child = StepContext(ctx.flow, state, ctx.info, ctx.limits)
    child.history.append(HistoryEvent(kind, step.name, {"index": index}))
    return child.start_step()


def _child_of(ctx: StepContext, step: MapStep, index: int) -> tuple[Series, JsonObject, str]:
    match step:
        case ParallelStep():
            return step.branches[index], {}, "BranchEntered"
        case ForeachStep():
            extra = {step.item: _collection(ctx, step)[index]}
            if step.index is not None:
                extra[step.index] = index
            return step.steps, extra, "IterationEntered"
        case _:
            assert_never(step)


def _collection(ctx: StepContext, step: ForeachStep) -> list[Json]:
    value = step.collection.read({"": ctx.input})
    if not isinstance(value, list):
        reason = "is missing" if value is MISSING else "is not a list"
        cause = f"collection of step {step.name!r}: {step.collection.text} {reason}"
        raise StepRefused("FnF.RuntimeError", cause)
    return value
