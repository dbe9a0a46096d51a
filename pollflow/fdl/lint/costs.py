"""The cost of a round of a loop: events in the history and seconds of waits, on the path with the fewest events."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

from typing_extensions import assert_never

from pollflow.fdl.lint.budget import Analysis
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


@dataclass(frozen=True, slots=True)
class Cost:
    """Events and seconds; `seconds` is None if the length of a wait is unknown."""

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
        self._steps: dict[str, Cost] = {}

    def of_step(self, step: Step) -> Cost:
        """Return the cost of one visit. Options of a choice are counted as edges; a foreach may have no iterations."""
        if step.path not in self._steps:
            self._steps[step.path] = self._of_step(step)
        return self._steps[step.path]

    def _of_step(self, step: Step) -> Cost:
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
        """Return the cost from the first step to the end."""
        if series.path not in self._known:
            graph = self.graphs.of(series)
            found = self._cheapest(graph, 0, set(range(len(series.steps))), None)
            self._known[series.path] = found.cost if found is not None else Cost()
        return self._known[series.path]

    def of_round(self, graph: Graph, loop: set[int]) -> tuple[Cost, tuple[int, ...]] | None:
        """Return the cost of the round with the fewest events, and its steps in order.

        None if the budget of the search is used up.
        """
        best: _Path | None = None
        left = set(loop)
        # Each round has a step that is entered from itself or from a later one.
        for start in sorted(_entered_from_later(graph, loop)):
            limit = math.inf if best is None else best.cost.events
            found = self._cheapest(graph, start, left, start, limit=limit)
            if self.graphs.budget.is_exceeded(Analysis.ROUNDS):
                return None
            best = found or best
            left.discard(start)
        return None if best is None else (best.cost, best.positions)

    def _cheapest(
        self, graph: Graph, start: int, inside: set[int], goal: int | None, *, limit: float = math.inf
    ) -> _Path | None:
        """Return the path with the fewest events from a step to the goal (None: the end of the series), by Dijkstra.

        None if there is none with less events than the limit.
        """
        previous_of: dict[int, int | None] = {}
        pending: list[tuple[int, int, Cost, int | None, int | None]] = [(0, 0, Cost(), None, start)]
        pushed = 0
        while pending:
            _, _, cost, previous, position = heapq.heappop(pending)
            if cost.events >= limit:
                return None
            if position == goal and previous is not None:
                return _Path(cost, _path_to(previous_of, previous))
            if position is None or position in previous_of:
                continue
            previous_of[position] = previous
            if not self.graphs.budget.spend(Analysis.ROUNDS, len(graph.edges[position])):
                return None
            for edge in graph.edges[position]:
                if edge.target in inside or (edge.target is None and goal is None):
                    pushed += 1
                    total = cost + self._of_edge(graph, edge)
                    heapq.heappush(pending, (total.events, pushed, total, position, edge.target))
        return None

    def _of_edge(self, graph: Graph, edge: Edge) -> Cost:
        cost = self.of_step(graph.series.steps[edge.source])
        return cost if edge.through is None else cost + self.of_series(edge.through)


@dataclass(frozen=True, slots=True)
class _Path:
    cost: Cost
    positions: tuple[int, ...]


def _entered_from_later(graph: Graph, loop: set[int]) -> set[int]:
    edges = graph.inner_edges(loop)
    return {edge.target for edge in edges if edge.target is not None and edge.target <= edge.source}


def _path_to(previous_of: dict[int, int | None], last: int) -> tuple[int, ...]:
    """Return the positions on the path to the last one, in order."""
    path: list[int] = []
    position: int | None = last
    while position is not None:
        path.append(position)
        position = previous_of[position]
    return tuple(reversed(path))
