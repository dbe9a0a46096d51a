"""Conditions of choices, compiled to a tree of nodes that read, calculate and compare."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from lark import Token, Transformer, v_args
from typing_extensions import assert_never

from pollflow.amounts import too_deep
from pollflow.fdl.expr.path import MISSING, Path, compile_path
from pollflow.fdl.expr.syntax import (
    CONDITION_GRAMMAR,
    MAX_NESTING,
    ExpressionError,
    ExpressionSyntaxError,
    parse,
    unquoted,
)
from pollflow.fdl.expr.values import Work, calculate, compare, kind_of, negative, positive, truth


@dataclass(frozen=True, slots=True)
class Scope:
    """What a condition reads, and the work that it may do."""

    step_input: Any
    work: Work


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant in the text."""

    value: str | int | float | bool | None
    depth: int = 0

    def evaluate(self, scope: Scope) -> Any:
        """Return the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Read:
    """A path into the step's input; null if the input has no such value."""

    path: Path
    depth: int = 0

    def evaluate(self, scope: Scope) -> Any:
        """Return the value at the path."""
        value = self.path.read({"": scope.step_input}, scope.work.spend)
        return None if value is MISSING else value


@dataclass(frozen=True, slots=True)
class UnaryOp:
    """`!`, `-` or `+` before an operand."""

    op: str
    operand: Node
    depth: int

    def evaluate(self, scope: Scope) -> Any:
        """Return the operand with the prefix applied."""
        value = self.operand.evaluate(scope)
        if self.op == "!":
            return not truth(value, "!")
        return negative(value) if self.op == "-" else positive(value)


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands of one precedence, evaluated from left to right. Kept flat, so that a long sum is not a deep tree."""

    first: Node
    rest: tuple[tuple[str, Node], ...]
    depth: int

    def evaluate(self, scope: Scope) -> Any:
        """Return the value of the whole chain."""
        value = self.first.evaluate(scope)
        for op, operand in self.rest:
            other = operand.evaluate(scope)
            value = calculate(op, value, other, scope.work) if op in "+-*/%" else compare(op, value, other, scope.work)
        return value


@dataclass(frozen=True, slots=True)
class BoolOp:
    """`&&` or `||`. Operands after the first one that decides the result are not evaluated."""

    op: str
    operands: tuple[Node, ...]
    depth: int

    def evaluate(self, scope: Scope) -> Any:
        """Return a boolean."""
        decides = self.op == "||"
        for operand in self.operands:
            if truth(operand.evaluate(scope), self.op) is decides:
                return decides
        return not decides


@dataclass(frozen=True, slots=True)
class Ternary:
    """`test ? yes : no`; only the chosen operand is evaluated."""

    test: Node
    yes: Node
    no: Node
    depth: int

    def evaluate(self, scope: Scope) -> Any:
        """Return the value of the chosen operand."""
        chosen = self.yes if truth(self.test.evaluate(scope), "? :") else self.no
        return chosen.evaluate(scope)


Node: TypeAlias = "Literal | Read | UnaryOp | Chain | BoolOp | Ternary"


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. The constructor raises `ExpressionSyntaxError`."""

    text: str
    tree: Node = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tree", parse(CONDITION_GRAMMAR, self.text, _ConditionBuilder))

    def holds(self, step_input: Any, work: Work | None = None) -> bool:
        """Return whether the condition is true; null counts as false. Raises `ExpressionError`.

        `work` limits the work of several conditions together.
        """
        value = self.tree.evaluate(Scope(step_input, work or Work()))
        if value is None or isinstance(value, bool):
            return bool(value)
        raise ExpressionError(f"the result must be a boolean, not {kind_of(value)}")


def paths_in(node: Node) -> Iterator[Path]:
    """Yield each path that the tree reads."""
    match node:
        case Read():
            yield node.path
        case UnaryOp():
            yield from paths_in(node.operand)
        case Chain():
            for operand in (node.first, *(operand for _, operand in node.rest)):
                yield from paths_in(operand)
        case BoolOp():
            for operand in node.operands:
                yield from paths_in(operand)
        case Ternary():
            for operand in (node.test, node.yes, node.no):
                yield from paths_in(operand)
        case Literal():
            return
        case _:
            assert_never(node)


def compile_condition(text: str) -> Condition:
    """Return the compiled condition; raises `ExpressionSyntaxError`."""
    return Condition(text)


def _depth_above(*operands: Node) -> int:
    depth = 1 + max(operand.depth for operand in operands)
    if depth > MAX_NESTING:
        raise ExpressionSyntaxError(too_deep("it", MAX_NESTING))
    return depth


@v_args(inline=True)
class _ConditionBuilder(Transformer[Token, Any]):
    def conditional(self, test: Node, yes: Node, no: Node) -> Node:
        return Ternary(test, yes, no, _depth_above(test, yes, no))

    def or_chain(self, *operands: Node) -> Node:
        return BoolOp("||", operands, max(operand.depth for operand in operands))

    def and_chain(self, *operands: Node) -> Node:
        return BoolOp("&&", operands, max(operand.depth for operand in operands))

    def comparison(self, first: Node, *rest: Any) -> Node:
        pairs = tuple((str(op), operand) for op, operand in zip(rest[::2], rest[1::2], strict=True))
        return Chain(first, pairs, max(first.depth, *(operand.depth for _, operand in pairs)))

    sum = comparison
    product = comparison

    def negated(self, operand: Node) -> Node:
        return UnaryOp("!", operand, _depth_above(operand))

    def signed(self, op: Token, operand: Node) -> Node:
        return UnaryOp(str(op), operand, _depth_above(operand))

    def group(self, inner: Node) -> Node:
        return replace(inner, depth=_depth_above(inner))

    def read(self, token: Token) -> Node:
        try:
            return Read(compile_path(str(token)))
        except ExpressionSyntaxError as error:
            column = error.column + (token.start_pos or 0)
            raise ExpressionSyntaxError(error.message, column) from None

    def number(self, token: Token) -> Node:
        if token.isdigit():
            return Literal(int(token))
        value = float(token)
        if not math.isfinite(value):
            raise ExpressionSyntaxError("the number is out of range", (token.start_pos or 0) + 1)
        return Literal(value)

    def text(self, token: Token) -> Node:
        return Literal(unquoted(token))

    raw_text = text

    def true(self) -> Node:
        return Literal(True)

    def false(self) -> Node:
        return Literal(False)

    def null(self) -> Node:
        return Literal(None)
