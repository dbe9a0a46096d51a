"""Warnings of loops: no wait, no bound, a wait too short, or more events than the limit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from typing_extensions import assert_never

from pollflow.fdl.lint.bounds import Bound, bound_of, lowest, statuses
from pollflow.fdl.lint.costs import Cost, Costs
from pollflow.fdl.lint.graph import Edge, Graph, Graphs, always_holds, components
from pollflow.fdl.lint.report import LintReport
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
    """The limits that end an execution if nothing in the flow does."""

    timeout_seconds: float | None
    events: int


def lint_loops(flow: Flow, graphs: Graphs, report: LintReport, *, event_limit: int) -> None:
    """Warn of each loop of the flow."""
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


def _without_wait(graph: Graph, loop: set[int], report: LintReport) -> None:
    quick = [
        edge
        for edge in graph.inner_edges(loop)
        if not _pauses(graph.series.steps[edge.source]) and not _any_pauses(edge.through)
    ]
    for cycle in components(quick):
        first = graph.series.steps[min(cycle)]
        message = f"the loop of {_names(graph, cycle)} has no wait: it repeats as fast as its steps run"
        report.warn(first.path, "loop-without-wait", message)


def _pauses(step: Step) -> bool:
    """Return whether a visit takes time by itself. A constant timestamp is in the past from the second round on."""
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
    """Yield the steps of a series and of the options in it, which run as a part of it."""
    for step in series.steps:
        yield step
        if isinstance(step, ChoiceStep):
            for option in (*step.choices, step.default):
                if option is not None and option.steps is not None:
                    yield from _all_steps(option.steps)


def _short_waits(graph: Graph, loop: set[int], report: LintReport) -> None:
    inside: dict[str, Step] = {}
    for edge in graph.inner_edges(loop):
        step = graph.series.steps[edge.source]
        inside[step.path] = step
        inside.update((inner.path, inner) for inner in (_all_steps(edge.through) if edge.through else ()))
    for step in inside.values():
        if isinstance(step, WaitStep) and isinstance(step.duration, int | float) and step.duration < 1:
            message = f"waits {step.duration:g} seconds in each round of a loop; wait a second or more"
            report.warn(f"{step.path}.duration", "short-wait", message)


def _without_end(graph: Graph, loop: set[int], costs: Costs, report: LintReport, *, limits: _Limits) -> None:
    bounds = {position: bound_of(graph, position, loop) for position in loop}
    free = [edge for edge in graph.inner_edges(loop) if bounds[edge.source] is None]
    endless = components(free)
    if limits.timeout_seconds is None:
        for cycle in endless:
            step = graph.series.steps[min(cycle)]
            message = f"nothing bounds the rounds of the loop of {_names(graph, cycle)}, and the flow has no timeout"
            report.warn(step.path, "loop-without-bound", message)
    for cycle in endless or [loop]:
        round_ = costs.of_round(graph, cycle)
        if round_ is None:
            continue
        cost, path = round_
        bound = None if endless else lowest(bounds[position] for position in loop)
        if _reaches_limit(cost, bound, limits):
            names = _names(graph, path)
            message = f"the loop of {names} can reach the event limit: {_until_limit(cost, limits.events)}"
            report.warn(graph.series.steps[min(path)].path, "event-limit", message)


def _reaches_limit(cost: Cost, bound: Bound | None, limits: _Limits) -> bool:
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
    duration = f", {_duration(rounds * cost.seconds)}," if cost.seconds else ""
    return f"at most {rounds:,} round{'' if rounds == 1 else 's'}{duration} before the limit of {limit:,} events"


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{int(seconds // size):,} {unit}"
    return f"{seconds:g} seconds"


def _without_default(graph: Graph, loops: list[set[int]], report: LintReport) -> None:
    loop_of = {position: loop for loop in loops for position in loop}
    for position in sorted(graph.reached()):
        step = graph.series.steps[position]
        if isinstance(step, ChoiceStep) and step.default is None and not any(map(always_holds, step.choices)):
            fallthrough = next(edge for edge in graph.edges[position] if edge.option is None)
            loop = loop_of.get(position, set())
            _warn_of_fallthrough(graph, fallthrough, step, loop, report)


def _warn_of_fallthrough(graph: Graph, edge: Edge, step: ChoiceStep, loop: set[int], report: LintReport) -> None:
    named = ", ".join(f'"{status}"' for status in statuses(step)[:5])
    if named and loop and edge.target in loop:
        message = f"no default: a job that ends in a status other than {named} is polled without end"
        report.warn(step.path, "unnamed-status", message)
        return
    target = "the series ends" if edge.target is None else f'"{graph.series.steps[edge.target].name}" is next'
    message = f"no default: if no condition holds, {target}"
    if named and loop:
        message += f"; this includes a job in a status other than {named}"
    report.warn(step.path, "choice-falls-through", message)


def _names(graph: Graph, positions: Iterable[int]) -> str:
    names = [f'"{graph.series.steps[position].name}"' for position in sorted(positions)]
    return ", ".join(names) if len(names) <= 5 else f"{', '.join(names[:4])} and {len(names) - 4} more"
