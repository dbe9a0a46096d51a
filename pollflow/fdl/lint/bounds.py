"""The bound of a loop, and the statuses that its conditions name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from typing_extensions import assert_never

from pollflow.fdl.expr import Path
from pollflow.fdl.expr.condition import BoolOp, Chain, Literal, Node, Read, Ternary, UnaryOp
from pollflow.fdl.lint.graph import Graph
from pollflow.fdl.model import ChoiceStep, Option

_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_COUNTER = re.compile("count|tr(y|ies)|attempt|retr|times|round|iter|num|index", re.IGNORECASE)
EVENT_ID = "$context.step.eventId"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`path op value`, in this order even if the text has the value first. `value` is None unless it is a literal."""

    path: Path
    op: str
    value: object


@dataclass(frozen=True, slots=True)
class Bound:
    """The greatest number of rounds or events of a loop. Both are None if the number is unknown."""

    rounds: int | None = None
    events: int | None = None


def comparisons(node: Node, junctions: str = "&&||") -> Iterator[Comparison]:
    """Yield each comparison of a path in the tree; of `&&` and `||`, only those in `junctions` are entered."""
    match node:
        case BoolOp():
            for operand in node.operands if node.op in junctions else ():
                yield from comparisons(operand, junctions)
        case Ternary():
            for inner in (node.test, node.yes, node.no):
                yield from comparisons(inner, junctions)
        case UnaryOp():
            yield from comparisons(node.operand, junctions)
        case Chain():
            yield from _comparison(node)
        case Literal() | Read():
            return
        case _:
            assert_never(node)


def _comparison(chain: Chain) -> Iterator[Comparison]:
    """Yield the chain as a comparison if it compares a path."""
    if len(chain.rest) != 1 or chain.rest[0][0] not in _FLIPPED:
        return
    first, (op, other) = chain.first, chain.rest[0]
    if isinstance(first, Read):
        yield Comparison(first.path, op, other.value if isinstance(other, Literal) else None)
    elif isinstance(other, Read):
        yield Comparison(other.path, _FLIPPED[op], first.value if isinstance(first, Literal) else None)


def statuses(step: ChoiceStep) -> tuple[str, ...]:
    """Return the texts that the choice's conditions compare a path with by `==`."""
    named = (
        comparison.value
        for option in step.choices
        if option.condition is not None
        for comparison in comparisons(option.condition.tree)
        if comparison.op == "=="
    )
    return tuple(dict.fromkeys(value for value in named if isinstance(value, str)))


def bound_of(graph: Graph, position: int, loop: set[int]) -> Bound | None:
    """Return the bound that the choice at this position sets on the loop; None if it sets none."""
    step = graph.series.steps[position]
    if not isinstance(step, ChoiceStep):
        return None
    stays = {id(edge.option): edge.target in loop for edge in graph.edges[position]}
    event_ids = _event_ids(step)
    leaving: list[Bound] = []
    staying: list[Bound] = []
    for option in (*step.choices, step.default):
        remains = stays.get(id(option), False)
        bound = _bound(option, event_ids, stays=remains)
        if remains and bound is None:
            # This option may continue the loop without end: only the options before it can bound the loop.
            return lowest(leaving)
        if bound is not None:
            (staying if remains else leaving).append(bound)
    return lowest(leaving + staying)


def lowest(bounds: Iterable[Bound | None]) -> Bound | None:
    """Return the bound with the fewest rounds; a bound without rounds only if there is no other."""
    found = [bound for bound in bounds if bound is not None]
    return min(found, key=lambda bound: math.inf if bound.rounds is None else bound.rounds, default=None)


def _bound(option: Option | None, event_ids: Collection[str], *, stays: bool) -> Bound | None:
    """Return the bound that one option's condition sets, by the counter that it compares."""
    if option is None or option.condition is None:
        return None
    rounds_of = _STAYING if stays else _LEAVING
    for comparison in comparisons(option.condition.tree, "&&" if stays else "&&||"):
        name = str(comparison.path.parts[-1]) if comparison.path.parts else ""
        counts = _COUNTER.search(name) is not None
        rounds = rounds_of.get(comparison.op)
        if rounds is None or (comparison.op in ("==", "!=") and not counts) or isinstance(comparison.value, str):
            continue
        value = comparison.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return Bound()
        if comparison.path.parts and comparison.path.parts[0] in event_ids:
            return Bound(events=int(value))
        return Bound(rounds=max(1, rounds(value))) if counts else Bound()
    return None


_LEAVING: dict[str, Callable[[float], int]] = {">": lambda n: int(n) + 1, ">=": int, "==": int}
_STAYING: dict[str, Callable[[float], int]] = {"<": int, "<=": lambda n: int(n) + 1, "!=": int}


def _event_ids(step: ChoiceStep) -> frozenset[str]:
    """Return the keys of the choice's input that are the number of events."""
    return frozenset(
        mapping.target
        for mapping in step.input_mappings or ()
        if isinstance(mapping.source, Path) and mapping.source.text == EVENT_ID
    )
