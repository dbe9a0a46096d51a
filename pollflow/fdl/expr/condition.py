"""Conditions: a choice's test, as a tree of nodes that only read and compare."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from lark import Token, Transformer, v_args

from pollflow.fdl.expr.path import MISSING, Path, compile_path
from pollflow.fdl.expr.syntax import (
    CONDITION_GRAMMAR,
    MAX_NESTING,
    ExpressionError,
    ExpressionSyntaxError,
    parse,
    unquoted,
)
from pollflow.fdl.expr.values import calculate, compare, kind_of, negative, positive, truth


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the text."""

    value: str | int | float | bool | None
    depth: int = 0

    def evaluate(self, step_input: Any) -> Any:
        """The value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Read:
    """A path into the step's input; null where it leads nowhere."""

    path: Path
    depth: int = 0

    def evaluate(self, step_input: Any) -> Any:
        """What the path reads."""
        value = self.path.read({"": step_input})
        return None if value is MISSING else value


@dataclass(frozen=True, slots=True)
class Prefixed:
    """`!`, `-` or `+` before an operand."""

    sign: str
    operand: Node
    depth: int

    def evaluate(self, step_input: Any) -> Any:
        """The operand turned round."""
        value = self.operand.evaluate(step_input)
        if self.sign == "!":
            return not truth(value, "!")
        return negative(value) if self.sign == "-" else positive(value)


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands of one precedence, worked off from the left; kept flat, so that a long sum is not a deep tree."""

    first: Node
    rest: tuple[tuple[str, Node], ...]
    depth: int

    def evaluate(self, step_input: Any) -> Any:
        """The value of the whole chain."""
        value = self.first.evaluate(step_input)
        for sign, operand in self.rest:
            other = operand.evaluate(step_input)
            value = calculate(sign, value, other) if sign in "+-*/%" else compare(sign, value, other)
        return value


@dataclass(frozen=True, slots=True)
class Junction:
    """`&&` or `||`: operands after the first that decides are not evaluated."""

    sign: str
    operands: tuple[Node, ...]
    depth: int

    def evaluate(self, step_input: Any) -> Any:
        """A boolean."""
        decides = self.sign == "||"
        for operand in self.operands:
            if truth(operand.evaluate(step_input), self.sign) is decides:
                return decides
        return not decides


@dataclass(frozen=True, slots=True)
class Ternary:
    """`test ? yes : no`; only the chosen operand is evaluated."""

    test: Node
    yes: Node
    no: Node
    depth: int

    def evaluate(self, step_input: Any) -> Any:
        """The value of the side that the test takes."""
        chosen = self.yes if truth(self.test.evaluate(step_input), "? :") else self.no
        return chosen.evaluate(step_input)


Node: TypeAlias = "Literal | Read | Prefixed | Chain | Junction | Ternary"


@dataclass(frozen=True, slots=True)
class Condition:
    """A choice's test, compiled. Making one raises `ExpressionSyntaxError`."""

    text: str
    tree: Node = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tree", parse(CONDITION_GRAMMAR, self.text, _ConditionBuilder))

    def holds(self, step_input: Any) -> bool:
        """Whether the test's result is true; null is false. Raises `ExpressionError`."""
        value = self.tree.evaluate(step_input)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise ExpressionError(f"the result must be a boolean, not {kind_of(value)}")


def compile_condition(text: str) -> Condition:
    """The condition that the text says; raises `ExpressionSyntaxError`."""
    return Condition(text)


def _deeper(*operands: Node) -> int:
    depth = 1 + max(operand.depth for operand in operands)
    if depth > MAX_NESTING:
        raise ExpressionSyntaxError(f"nested more than {MAX_NESTING} levels deep")
    return depth


@v_args(inline=True)
class _ConditionBuilder(Transformer[Token, Any]):
    def choose(self, test: Node, yes: Node, no: Node) -> Node:
        return Ternary(test, yes, no, _deeper(test, yes, no))

    def either(self, *operands: Node) -> Node:
        return Junction("||", operands, max(operand.depth for operand in operands))

    def both(self, *operands: Node) -> Node:
        return Junction("&&", operands, max(operand.depth for operand in operands))

    def comparison(self, first: Node, *rest: Any) -> Node:
        pairs = tuple((str(sign), operand) for sign, operand in zip(rest[::2], rest[1::2], strict=True))
        return Chain(first, pairs, max(first.depth, *(operand.depth for _, operand in pairs)))

    sum = comparison
    product = comparison

    def invert(self, operand: Node) -> Node:
        return Prefixed("!", operand, _deeper(operand))

    def negate(self, sign: Token, operand: Node) -> Node:
        return Prefixed(str(sign), operand, _deeper(operand))

    def nested(self, inner: Node) -> Node:
        return replace(inner, depth=_deeper(inner))

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
            raise ExpressionSyntaxError("a number that is out of range", (token.start_pos or 0) + 1)
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
