"""The control graph of a series: edges, reached steps and loops. A goto never leaves its series."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from typing_extensions import assert_never

from pollflow.fdl.expr.condition import Literal
from pollflow.fdl.lint.budget import Budget
from pollflow.fdl.model import (
    ChoiceStep,
    FailStep,
    ForeachStep,
    Option,
    ParallelStep,
    PassStep,
    Series,
    SucceedStep,
    TaskStep,
    WaitStep,
)


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge from a step to another, or to the end of the series (None).

    `option` is the option of a choice that the edge stands for. An edge of a choice without an option is taken
    when no condition holds.
    """

    source: int
    target: int | None
    option: Option | None = None

    @property
    def through(self) -> Series | None:
        """The option's steps, which run between the choice and the target."""
        return self.option.steps if self.option is not None else None


@dataclass(frozen=True)
class Graph:
    """The edges of one series, by the position of the step that they leave."""

    series: Series
    edges: tuple[tuple[Edge, ...], ...]

    def reached(self) -> set[int]:
        """Return the positions that the first step of the series leads to, including its own."""
        return closure({0}, lambda position: (edge.target for edge in self.edges[position]))

    def before(self, position: int) -> set[int]:
        """Return the positions of the reached steps that lead to this one, including its own if it is in a loop."""
        return closure(set(self._sources.get(position, ())), lambda inner: self._sources.get(inner, ()))

    @cached_property
    def _sources(self) -> dict[int, list[int]]:
        """The reached steps that lead to a position."""
        sources: dict[int, list[int]] = {}
        for source in self.reached():
            for edge in self.edges[source]:
                if edge.target is not None:
                    sources.setdefault(edge.target, []).append(source)
        return sources

    def inner_edges(self, positions: Collection[int]) -> Iterator[Edge]:
        """Yield the edges that begin and end in these positions."""
        for position in sorted(positions):
            for edge in self.edges[position]:
                if edge.target in positions:
                    yield edge

    @property
    def size(self) -> int:
        """The number of steps and edges."""
        return len(self.edges) + sum(map(len, self.edges))

    def loops(self) -> list[set[int]]:
        """Return the largest sets of reached steps that all lead to one another."""
        return components(self.inner_edges(self.reached()))


class Graphs:
    """Build the graph of each series once. `budget` limits what the analyses of the graphs may do."""

    def __init__(self) -> None:
        self.budget = Budget()
        self._known: dict[str, Graph] = {}

    def of(self, series: Series) -> Graph:
        """Return the graph of the series."""
        if series.path not in self._known:
            edges = tuple(tuple(self._edges(series, position)) for position in range(len(series.steps)))
            self._known[series.path] = Graph(series, edges)
        return self._known[series.path]

    def completes(self, series: Series) -> bool:
        """Return whether the series can end without a failure."""
        graph = self.of(series)
        return any(edge.target is None for position in graph.reached() for edge in graph.edges[position])

    def _edges(self, series: Series, position: int) -> Iterator[Edge]:
        step = series.steps[position]
        following = Edge(position, series.next_position(position))
        match step:
            case ChoiceStep():
                yield from self._options(series, position, step)
            case TaskStep():
                yield following
                yield from (Edge(position, series.position(catch.goto)) for catch in step.catch)
            case ParallelStep():
                if all(self.completes(branch) for branch in step.branches):
                    yield following
            case PassStep() | WaitStep() | ForeachStep() | SucceedStep():
                yield following
            case FailStep():
                return
            case _:
                assert_never(step)

    def _options(self, series: Series, position: int, step: ChoiceStep) -> Iterator[Edge]:
        default = () if step.default is None else (step.default,)
        for option in (*step.choices, *default):
            if option.steps is None or self.completes(option.steps):
                yield Edge(position, series.next_position(position, option.goto), option)
            if always_holds(option):
                return
        if step.default is None:
            yield Edge(position, series.next_position(position))


def always_holds(option: Option) -> bool:
    """Return whether the option is always taken: `condition: true`."""
    tree = None if option.condition is None else option.condition.tree
    return isinstance(tree, Literal) and tree.value is True


def closure(
    start: set[int], following: Callable[[int], Iterable[int | None]], *, without: Collection[int] = ()
) -> set[int]:
    """Return all positions that `following` leads to from `start`, including `start`; skip those in `without`."""
    found = set(start)
    pending = list(start)
    while pending:
        for position in following(pending.pop()):
            if position is not None and position not in found and position not in without:
                found.add(position)
                pending.append(position)
    return found


def components(edges: Iterable[Edge]) -> list[set[int]]:
    """Return the sets of positions that all lead to one another; a single position only if it leads to itself."""
    forward: dict[int, list[int]] = {}
    backward: dict[int, list[int]] = {}
    for edge in edges:
        if edge.target is not None:
            forward.setdefault(edge.source, []).append(edge.target)
            backward.setdefault(edge.target, []).append(edge.source)
    found: list[set[int]] = []
    placed: set[int] = set()
    for position in _by_finish(forward):
        if position in placed:
            continue
        members = closure({position}, lambda inner: backward.get(inner, ()), without=placed)
        placed |= members
        if len(members) > 1 or position in forward.get(position, ()):
            found.append(members)
    return sorted(found, key=min)


def _by_finish(forward: dict[int, list[int]]) -> list[int]:
    """Return positions in the reverse order in which a depth-first search leaves them (Kosaraju)."""
    finished: list[int] = []
    seen: set[int] = set()
    for root in sorted(forward):
        pending = [(root, False)]
        while pending:
            position, done = pending.pop()
            if done:
                finished.append(position)
            elif position not in seen:
                seen.add(position)
                pending.append((position, True))
                pending.extend((target, False) for target in forward.get(position, ()))
    return finished[::-1]
