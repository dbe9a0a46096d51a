"""Parallel and foreach: children are made in slices, at most `width` run at once, and their locals join in order."""

from __future__ import annotations

from pollflow.fdl.expr import MISSING
from pollflow.fdl.model import ForeachStep, Json, JsonObject, ParallelStep, Series
from pollflow.machine.data import size_of
from pollflow.machine.decision import Children, Decision, HistoryEvent
from pollflow.machine.events import Arrived, Joined
from pollflow.machine.state import FrameState, Join, Level, Phase
from pollflow.machine.walk import StepRefused, Walk, hint_of

_MOST_CHILDREN = 25
_MOST_BYTES = 64 * 1024
"""Of inputs, each of which is written three times: in the state and in two events."""


def branches(walk: Walk, step: ParallelStep, event: Arrived) -> Decision:
    """Begins the branches, or the next slice of them."""
    return _spread(walk, step, event.join, len(step.branches))


def iterates(walk: Walk, step: ForeachStep, event: Arrived) -> Decision:
    """Begins the iterations, or the next slice of them."""
    collection = _collection(walk, step)
    if not collection:
        return walk.leave([])
    return _spread(walk, step, event.join, len(collection))


def joins(walk: Walk, step: ParallelStep | ForeachStep, event: Joined) -> Decision:
    """All children have ended: their locals, in order, are the step's local."""
    return walk.leave(list(event.results))


def _spread(walk: Walk, step: ParallelStep | ForeachStep, join: Join | None, total: int) -> Decision:
    begun = join is not None
    join = join or Join(total=total, made=0, ended=0)
    room = max(0, walk.limits.width - join.open)
    indices = range(join.made, min(join.made + min(room, _slice(walk)), total))
    spawn: list[Decision] = []
    before = walk.about.events + len(walk.history)
    for index in indices:
        spawn.append(_child(walk, step, index, before))
        before += len(spawn[-1].history)
    wake = Children(hint_of(step, walk.state.entry), total=None if begun else total)
    return walk.goes_on(wake, spawn=tuple(spawn), phase=Phase.JOINING)


def _slice(walk: Walk) -> int:
    """How many children one commit makes: what it writes, their inputs above all, must stay small."""
    return max(1, min(_MOST_CHILDREN, _MOST_BYTES // max(1, size_of(walk.input))))


def _child(walk: Walk, step: ParallelStep | ForeachStep, index: int, before: int) -> Decision:
    """The child at `index`; `before` is the number of events before its own, which are its entry and its step's."""
    series, extra, kind = _child_of(walk, step, index)
    state = FrameState(
        frame=f"{walk.state.frame}.{walk.state.entry}.{index}",
        input={**walk.input, **extra},
        levels=(Level(series=series.path, step=0, local={}, entered=before + 2),),
    )
    child = Walk(walk.flow, state, walk.about, walk.limits)
    child.history.append(HistoryEvent(kind, step.name, {"index": index}))
    return child.entered()


def _child_of(walk: Walk, step: ParallelStep | ForeachStep, index: int) -> tuple[Series, JsonObject, str]:
    if isinstance(step, ParallelStep):
        return step.branches[index], {}, "BranchEntered"
    extra = {step.item: _collection(walk, step)[index]}
    if step.index is not None:
        extra[step.index] = index
    return step.steps, extra, "IterationEntered"


def _collection(walk: Walk, step: ForeachStep) -> list[Json]:
    value = step.collection.read({"": walk.input})
    if not isinstance(value, list):
        told = "is missing" if value is MISSING else "is no list"
        cause = f"collection of step {step.name!r}: {step.collection.text} {told}"
        raise StepRefused("FnF.RuntimeError", cause)
    return value
