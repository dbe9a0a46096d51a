"""What a round of a loop costs: events of its history, and seconds of its waits. Always the cheapest way round."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from typing_extensions import assert_never

from pollflow.fdl.lint.graph import Edge, Graph, Graphs
from pollflow.fdl.model import (
    ChoiceStep,
    FailStep,
    ForeachStep,
    ParallelStep,
    PassStep,
    Series,
    Step,
    SucceedStep,
    TaskStep,
    WaitStep,
)

STEP_EVENTS = 4
"""StepEntered, StepStarted, StepSucceeded, StepExited."""
TASK_EVENTS = STEP_EVENTS + 3
"""And TaskScheduled, TaskStarted, TaskSucceeded."""
BRANCH_EVENTS = 2
"""BranchEntered, BranchExited."""
_MAX_VISITS = 20_000
"""Of steps, while the cheapest round of one loop is looked for, so that a loop of thousands takes no minutes."""


@dataclass(frozen=True, slots=True)
class Cost:
    """`seconds` is None where a wait's length is unknown."""

    events: int = 0
    seconds: float | None = 0.0

    def __add__(self, other: Cost) -> Cost:
        unknown = self.seconds is None or other.seconds is None
        return Cost(self.events + other.events, None if unknown else (self.seconds or 0) + (other.seconds or 0))


class Costs:
    """The costs of steps, series and rounds."""

    def __init__(self, graphs: Graphs) -> None:
        self.graphs = graphs
        self._known: dict[str, Cost] = {}

    def of_step(self, step: Step) -> Cost:
        """One visit; a choice's options are edges and do not count, a foreach may have no iterations."""
        match step:
            case TaskStep():
                return Cost(TASK_EVENTS)
            case WaitStep():
                return Cost(STEP_EVENTS, float(step.duration) if isinstance(step.duration, int | float) else None)
            case ParallelStep():
                branches = [self.of_series(branch) for branch in step.branches]
                events = sum(branch.events + BRANCH_EVENTS for branch in branches)
                known = [branch.seconds for branch in branches if branch.seconds is not None]
                return Cost(STEP_EVENTS + events, max(known) if len(known) == len(branches) else None)
            case PassStep() | ChoiceStep() | ForeachStep() | SucceedStep() | FailStep():
                return Cost(STEP_EVENTS)
            case _:
                assert_never(step)

    def of_series(self, series: Series) -> Cost:
        """From the first step to the end."""
        if series.path not in self._known:
            graph = self.graphs.of(series)
            found = self._cheapest(graph, 0, set(range(len(series.steps))), None)
            self._known[series.path] = found[0] if found is not None else Cost()
        return self._known[series.path]

    def of_round(self, graph: Graph, loop: set[int]) -> tuple[Cost, tuple[int, ...]]:
        """The round with the fewest events, and its steps in order."""
        rounds = [self._cheapest(graph, start, loop, start) for start in sorted(loop)[: 1 + _MAX_VISITS // len(loop)]]
        found = [one for one in rounds if one is not None]
        if not found:
            return Cost(STEP_EVENTS * len(loop), None), tuple(sorted(loop))
        return min(found, key=lambda one: one[0].events)

    def _cheapest(
        self, graph: Graph, start: int, inside: set[int], goal: int | None
    ) -> tuple[Cost, tuple[int, ...]] | None:
        """The way with the fewest events from a step to the goal (None is the series' end), by Dijkstra."""
        came_from: dict[int, int | None] = {}
        pending: list[tuple[int, int, Cost, int | None, int | None]] = [(0, 0, Cost(), None, start)]
        pushed = 0
        while pending:
            _, _, cost, previous, position = heapq.heappop(pending)
            if position == goal and previous is not None:
                return cost, _way(came_from, previous)
            if position is None or position in came_from:
                continue
            came_from[position] = previous
            for edge in graph.edges[position]:
                if edge.target in inside or (edge.target is None and goal is None):
                    pushed += 1
                    total = cost + self._of_edge(graph, edge)
                    heapq.heappush(pending, (total.events, pushed, total, position, edge.target))
        return None

    def _of_edge(self, graph: Graph, edge: Edge) -> Cost:
        cost = self.of_step(graph.series.steps[edge.source])
        return cost if edge.through is None else cost + self.of_series(edge.through)


def _way(came_from: dict[int, int | None], last: int) -> tuple[int, ...]:
    """The positions that led to the last one, in order."""
    way: list[int] = []
    position: int | None = last
    while position is not None:
        way.append(position)
        position = came_from[position]
    return tuple(reversed(way))
