"""The cost of a round of a loop: events in the history and seconds of waits, on the path with the fewest events."""

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
"""Bounds the search for the cheapest round of one loop, so that a loop of thousands of steps takes seconds."""


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

    def of_step(self, step: Step) -> Cost:
        """Return the cost of one visit. Options of a choice are counted as edges; a foreach may have no iterations."""
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
            self._known[series.path] = found[0] if found is not None else Cost()
        return self._known[series.path]

    def of_round(self, graph: Graph, loop: set[int]) -> tuple[Cost, tuple[int, ...]]:
        """Return the cost of the round with the fewest events, and its steps in order."""
        rounds = [self._cheapest(graph, start, loop, start) for start in sorted(loop)[: 1 + _MAX_VISITS // len(loop)]]
        found = [round_ for round_ in rounds if round_ is not None]
        if not found:
            return Cost(STEP_EVENTS * len(loop), None), tuple(sorted(loop))
        return min(found, key=lambda round_: round_[0].events)

    def _cheapest(
        self, graph: Graph, start: int, inside: set[int], goal: int | None
    ) -> tuple[Cost, tuple[int, ...]] | None:
        """Return the path with the fewest events from a step to the goal (None: the end of the series), by Dijkstra."""
        previous_of: dict[int, int | None] = {}
        pending: list[tuple[int, int, Cost, int | None, int | None]] = [(0, 0, Cost(), None, start)]
        pushed = 0
        while pending:
            _, _, cost, previous, position = heapq.heappop(pending)
            if position == goal and previous is not None:
                return cost, _path_to(previous_of, previous)
            if position is None or position in previous_of:
                continue
            previous_of[position] = previous
            for edge in graph.edges[position]:
                if edge.target in inside or (edge.target is None and goal is None):
                    pushed += 1
                    total = cost + self._of_edge(graph, edge)
                    heapq.heappush(pending, (total.events, pushed, total, position, edge.target))
        return None

    def _of_edge(self, graph: Graph, edge: Edge) -> Cost:
        cost = self.of_step(graph.series.steps[edge.source])
        return cost if edge.through is None else cost + self.of_series(edge.through)


def _path_to(previous_of: dict[int, int | None], last: int) -> tuple[int, ...]:
    """Return the positions on the path to the last one, in order."""
    path: list[int] = []
    position: int | None = last
    while position is not None:
        path.append(position)
        position = previous_of[position]
    return tuple(reversed(path))
