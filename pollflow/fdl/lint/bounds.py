"""Read the bounds of a loop from its conditions: whether a counter bounds its rounds, and which statuses they name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from typing_extensions import assert_never

from pollflow.fdl.expr import Path
from pollflow.fdl.expr.condition import Chain, Junction, Literal, Node, Prefixed, Read, Ternary
from pollflow.fdl.lint.graph import Graph
from pollflow.fdl.model import ChoiceStep, Option

_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}
_COUNTER = re.compile("count|tr(y|ies)|attempt|retr|times|round|iter|num|index", re.IGNORECASE)
EVENT_ID = "$context.step.eventId"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`path sign value`, whichever way round it was written; `value` is None where it is no literal."""

    path: Path
    sign: str
    value: object


@dataclass(frozen=True, slots=True)
class Bound:
    """What ends a loop: after so many rounds or events, or at an unknown number (both None)."""

    rounds: int | None = None
    events: int | None = None


def comparisons(node: Node, junctions: str = "&&||") -> Iterator[Comparison]:
    """Comparisons of a path with something, anywhere under junctions of these signs."""
    match node:
        case Junction():
            for operand in node.operands if node.sign in junctions else ():
                yield from comparisons(operand, junctions)
        case Ternary():
            for inner in (node.test, node.yes, node.no):
                yield from comparisons(inner, junctions)
        case Prefixed():
            yield from comparisons(node.operand, junctions)
        case Chain():
            yield from _comparison(node)
        case Literal() | Read():
            return
        case _:
            assert_never(node)


def _comparison(chain: Chain) -> Iterator[Comparison]:
    """The chain as a comparison of a path, if it is one."""
    if len(chain.rest) != 1 or chain.rest[0][0] not in _FLIPPED:
        return
    first, (sign, other) = chain.first, chain.rest[0]
    if isinstance(first, Read):
        yield Comparison(first.path, sign, other.value if isinstance(other, Literal) else None)
    elif isinstance(other, Read):
        yield Comparison(other.path, _FLIPPED[sign], first.value if isinstance(first, Literal) else None)


def statuses(step: ChoiceStep) -> tuple[str, ...]:
    """Texts that the choice's conditions compare a path with by `==`."""
    named = (
        comparison.value
        for option in step.choices
        if option.condition is not None
        for comparison in comparisons(option.condition.tree)
        if comparison.sign == "=="
    )
    return tuple(dict.fromkeys(value for value in named if isinstance(value, str)))


def bound_of(graph: Graph, position: int, loop: set[int]) -> Bound | None:
    """What makes the choice at this position leave the loop for certain, sooner or later; None if nothing does."""
    step = graph.series.steps[position]
    if not isinstance(step, ChoiceStep):
        return None
    stays = {id(edge.option): edge.target in loop for edge in graph.edges[position]}
    leaving: list[Bound] = []
    staying: list[Bound] = []
    for option in (*step.choices, step.default):
        remains = stays.get(id(option), False)
        bound = _bound(step, option, stays=remains)
        if remains and bound is None:
            # This one may keep the loop going for ever: only what is asked before it can end the loop.
            return _least(leaving)
        if bound is not None:
            (staying if remains else leaving).append(bound)
    return _least(leaving + staying)


def _least(bounds: list[Bound]) -> Bound | None:
    known = [bound for bound in bounds if bound.rounds is not None]
    return min(known, key=lambda bound: bound.rounds or 0) if known else next(iter(bounds), None)


def _bound(step: ChoiceStep, option: Option | None, *, stays: bool) -> Bound | None:
    """The bound that one option's condition sets, by the counter it compares."""
    if option is None or option.condition is None:
        return None
    signs = _STAYING if stays else _LEAVING
    for comparison in comparisons(option.condition.tree, "&&" if stays else "&&||"):
        name = str(comparison.path.parts[-1]) if comparison.path.parts else ""
        counts = _COUNTER.search(name) is not None
        rounds = signs.get(comparison.sign)
        if rounds is None or (comparison.sign in ("==", "!=") and not counts) or isinstance(comparison.value, str):
            continue
        value = comparison.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return Bound()
        if _is_event_id(step, comparison.path):
            return Bound(events=int(value))
        return Bound(rounds=max(1, rounds(value))) if counts else Bound()
    return None


_LEAVING: dict[str, Callable[[float], int]] = {">": lambda n: int(n) + 1, ">=": int, "==": int}
_STAYING: dict[str, Callable[[float], int]] = {"<": int, "<=": lambda n: int(n) + 1, "!=": int}


def _is_event_id(step: ChoiceStep, path: Path) -> bool:
    return any(
        mapping.target == path.parts[0] and isinstance(mapping.source, Path) and mapping.source.text == EVENT_ID
        for mapping in step.input_mappings or ()
        if path.parts
    )
