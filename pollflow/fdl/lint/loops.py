"""Loops: without a wait, without a bound, with a wait too short, or longer than the history may grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from typing_extensions import assert_never

from pollflow.fdl.lint.bounds import Bound, bound_of, statuses
from pollflow.fdl.lint.costs import Cost, Costs
from pollflow.fdl.lint.graph import Edge, Graph, Graphs, always_holds, components
from pollflow.fdl.lint.report import Report
from pollflow.fdl.model import (
    ChoiceStep,
    FailStep,
    Flow,
    FlowResource,
    ForeachStep,
    ParallelStep,
    PassStep,
    Pattern,
    Series,
    Step,
    SucceedStep,
    TaskStep,
    WaitStep,
)


@dataclass(frozen=True, slots=True)
class _Limits:
    """What ends an execution if nothing in the flow does."""

    timeout_seconds: float | None
    events: int


def lint_loops(flow: Flow, graphs: Graphs, report: Report, *, event_limit: int) -> None:
    """Warns of each loop of the flow."""
    costs = Costs(graphs)
    limits = _Limits(flow.timeout_seconds, event_limit)
    for series in flow.series.values():
        graph = graphs.of(series)
        loops = graph.loops()
        for loop in loops:
            _without_wait(graph, loop, report)
            _short_waits(graph, loop, report)
            _without_end(graph, loop, costs, report, limits=limits)
        _without_default(graph, loops, report)


def _without_wait(graph: Graph, loop: set[int], report: Report) -> None:
    quick = [
        edge
        for edge in graph.inner_edges(loop)
        if not _pauses(graph.series.steps[edge.source]) and not _any_pauses(edge.through)
    ]
    for cycle in components(quick):
        first = graph.series.steps[min(cycle)]
        message = f"the loop of {_names(graph, cycle)} has no wait: it goes round as fast as its steps run"
        report.warn(first.path, "loop-without-wait", message)


def _pauses(step: Step) -> bool:
    """Whether a visit may take time by itself. A constant timestamp lies in the past from the second round on."""
    match step:
        case WaitStep():
            return not isinstance(step.timestamp, int | float) and step.duration != 0
        case TaskStep():
            waits_for_flow = isinstance(step.resource, FlowResource) and step.pattern is Pattern.SYNC
            return waits_for_flow or step.pattern is Pattern.WAIT_FOR_CALLBACK
        case ParallelStep():
            return any(_any_pauses(branch) for branch in step.branches)
        case ForeachStep():
            return _any_pauses(step.steps)
        case PassStep() | ChoiceStep() | SucceedStep() | FailStep():
            return False
        case _:
            assert_never(step)


def _any_pauses(series: Series | None) -> bool:
    return series is not None and any(_pauses(step) for step in _all_steps(series))


def _all_steps(series: Series) -> Iterator[Step]:
    """The steps of a series and of the options inside it, which run as a part of it."""
    for step in series.steps:
        yield step
        if isinstance(step, ChoiceStep):
            for option in (*step.choices, step.default):
                if option is not None and option.steps is not None:
                    yield from _all_steps(option.steps)


def _short_waits(graph: Graph, loop: set[int], report: Report) -> None:
    inside: dict[str, Step] = {}
    for edge in graph.inner_edges(loop):
        step = graph.series.steps[edge.source]
        inside[step.path] = step
        inside.update((inner.path, inner) for inner in (_all_steps(edge.through) if edge.through else ()))
    for step in inside.values():
        if isinstance(step, WaitStep) and isinstance(step.duration, int | float) and step.duration < 1:
            message = f"waits {step.duration:g} seconds in each round of a loop; a second is the least that makes sense"
            report.warn(f"{step.path}.duration", "short-wait", message)


def _without_end(graph: Graph, loop: set[int], costs: Costs, report: Report, *, limits: _Limits) -> None:
    bounds = {position: bound_of(graph, position, loop) for position in loop}
    free = [edge for edge in graph.inner_edges(loop) if bounds[edge.source] is None]
    endless = components(free)
    if limits.timeout_seconds is None:
        for cycle in endless:
            step = graph.series.steps[min(cycle)]
            message = f"nothing bounds the rounds of the loop of {_names(graph, cycle)}, and the flow has no timeout"
            report.warn(step.path, "loop-without-bound", message)
    for cycle in endless or [loop]:
        cost, way = costs.of_round(graph, cycle)
        least = None if endless else _least(bounds[position] for position in loop)
        if _meets_limit(cost, least, limits):
            names = _names(graph, way)
            message = f"the loop of {names} can meet the event limit: {_until_limit(cost, limits.events)}"
            report.warn(graph.series.steps[min(way)].path, "event-limit", message)


def _least(bounds: Iterable[Bound | None]) -> Bound | None:
    found = [bound for bound in bounds if bound is not None]
    known = [bound for bound in found if bound.rounds is not None]
    return min(known, key=lambda bound: bound.rounds or 0) if known else next(iter(found), None)


def _meets_limit(cost: Cost, bound: Bound | None, limits: _Limits) -> bool:
    limit, timeout = limits.events, limits.timeout_seconds
    if bound is not None and bound.rounds is not None and bound.rounds * cost.events <= limit:
        return False
    if bound is not None and bound.rounds is None and (bound.events is None or bound.events <= limit):
        return False
    if timeout is None:
        return True
    # Where the length of a round is unknown, the timeout may come first.
    return cost.seconds is not None and (cost.seconds == 0 or timeout / cost.seconds * cost.events > limit)


def _until_limit(cost: Cost, limit: int) -> str:
    rounds = limit // cost.events
    lasts = f", {_lasting(rounds * cost.seconds)}," if cost.seconds else ""
    return f"at most {rounds:,} round{'' if rounds == 1 else 's'}{lasts} before the limit of {limit:,} events"


def _lasting(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{int(seconds // size):,} {unit}"
    return f"{seconds:g} seconds"


def _without_default(graph: Graph, loops: list[set[int]], report: Report) -> None:
    for position in sorted(graph.reached()):
        step = graph.series.steps[position]
        if isinstance(step, ChoiceStep) and step.default is None and not any(map(always_holds, step.choices)):
            falls = next(edge for edge in graph.edges[position] if edge.option is None)
            loop = next((loop for loop in loops if position in loop), set())
            _warn_of_fall(graph, falls, step, loop, report)


def _warn_of_fall(graph: Graph, falls: Edge, step: ChoiceStep, loop: set[int], report: Report) -> None:
    named = ", ".join(f'"{status}"' for status in statuses(step)[:5])
    if named and loop and falls.target in loop:
        message = f"no default: a job that ends in a status other than {named} is polled for ever"
        report.warn(step.path, "unnamed-status", message)
        return
    target = "the series ends" if falls.target is None else f'"{graph.series.steps[falls.target].name}" comes next'
    message = f"no default: where no condition holds, {target}"
    if named and loop:
        message += f"; so it does for a job in a status other than {named}"
    report.warn(step.path, "choice-falls-through", message)


def _names(graph: Graph, positions: Iterable[int]) -> str:
    names = [f'"{graph.series.steps[position].name}"' for position in sorted(positions)]
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:4])} and {len(names) - 4} more"
