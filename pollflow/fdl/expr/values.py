"""The operators of conditions on JSON values; `docs/language.md` describes them.

Unlike in Python, a boolean is never a number. Every error is an `ExpressionError`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from pollflow.amounts import over_limit
from pollflow.fdl.expr.syntax import ExpressionError

MAX_BITS = 4096
"""The longest integer result, in bits. Without a limit, a condition of a few characters could run for minutes."""
MAX_TEXT = 1 << 20
"""The longest text that `+` returns, in characters."""

MAX_WORK = 3_000_000
"""The most values that the conditions of a choice compare and collect, which takes a few seconds."""
_CHARACTERS = 1000
"""Characters of texts that count as one value: they are compared and joined fast."""

_BOOLEAN_TEXTS = {True: ("true", "TRUE"), False: ("false", "FALSE")}
_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Work:
    """Counts the values that conditions compare and collect. One choice can have 80,000 comparisons of large values."""

    def __init__(self) -> None:
        self._left = MAX_WORK

    def spend(self, values: int) -> None:
        """Count values. Raises `ExpressionError` if there are more than `MAX_WORK`."""
        self._left -= values
        if self._left < 0:
            statement = "the conditions of the choice compare and collect more values"
            raise ExpressionError(f"{statement} than the limit of {MAX_WORK:,}")


def kind_of(value: Any) -> str:
    """Return the name of a value's type for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    names: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), "a value that is not JSON")


def truth(value: Any, op: str) -> bool:
    """Return a boolean unchanged and null as false; raise `ExpressionError` for anything else."""
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    raise ExpressionError(f"{op} needs a boolean, not {kind_of(value)}")


def equal(left: Any, right: Any, work: Work) -> bool:
    """Compare by value; a boolean also equals its text in the spellings `true`, `TRUE`, `false` and `FALSE`."""
    if isinstance(left, bool) and isinstance(right, str):
        return right in _BOOLEAN_TEXTS[left]
    if isinstance(right, bool) and isinstance(left, str):
        return left in _BOOLEAN_TEXTS[right]
    pending = [(left, right)]
    while pending:
        one, other = pending.pop()
        if kind_of(one) != kind_of(other):
            return False
        if isinstance(one, list):
            if len(one) != len(other):
                return False
            work.spend(len(one))
            pending.extend(zip(one, other, strict=True))
        elif isinstance(one, dict):
            work.spend(len(one))
            if one.keys() != other.keys():
                return False
            pending.extend((one[key], other[key]) for key in one)
        else:
            _spend_on_texts(work, one, other)
            if one != other:
                return False
    return True


def _spend_on_texts(work: Work, one: Any, other: Any) -> None:
    if isinstance(one, str) and isinstance(other, str):
        work.spend((len(one) + len(other)) // _CHARACTERS)


def compare(op: str, left: Any, right: Any, work: Work) -> bool:
    """Apply `==`, `!=`, or an ordering of two numbers or two texts; an ordering with null is false."""
    if op == "==":
        return equal(left, right, work)
    if op == "!=":
        return not equal(left, right, work)
    if left is None or right is None:
        return False
    kinds = {kind_of(left), kind_of(right)}
    if len(kinds) != 1 or not kinds <= {"a number", "a text"}:
        raise ExpressionError(f"{op} cannot order {kind_of(left)} and {kind_of(right)}")
    _spend_on_texts(work, left, right)
    return _ORDERINGS[op](left, right)


def calculate(op: str, left: Any, right: Any, work: Work) -> Any:
    """Calculate with two numbers; `+` also joins two texts."""
    if op == "+" and isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > MAX_TEXT:
            raise ExpressionError(over_limit(f"+ gives a text of {len(left) + len(right):,} characters", MAX_TEXT))
        _spend_on_texts(work, left, right)
        return left + right
    if not (_is_number(left) and _is_number(right)):
        raise ExpressionError(f"{op} cannot work on {kind_of(left)} and {kind_of(right)}")
    try:
        return _in_range(_ARITHMETIC[op](left, right), op)
    except ZeroDivisionError:
        raise ExpressionError("division by zero") from None
    except (OverflowError, ValueError):
        raise ExpressionError(f"{op} gives a number that is out of range") from None


def negative(value: Any) -> Any:
    """Apply the prefix `-`."""
    if not _is_number(value):
        raise ExpressionError(f"- cannot work on {kind_of(value)}")
    return -value


def positive(value: Any) -> Any:
    """Apply the prefix `+`, which changes nothing."""
    if not _is_number(value):
        raise ExpressionError(f"+ cannot work on {kind_of(value)}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_range(value: Any, op: str) -> Any:
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise ExpressionError(over_limit(f"{op} gives a number of {value.bit_length():,} bits", MAX_BITS))
    elif not math.isfinite(value):
        raise ExpressionError(f"{op} gives a number that is out of range")
    return value


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and right != 0 and left % right == 0:
        return left // right
    return left / right


def _remainder(left: Any, right: Any) -> Any:
    """Return the remainder with the op of the left operand, as C, Go and JavaScript do."""
    if right == 0:
        raise ZeroDivisionError
    if isinstance(left, int) and isinstance(right, int):
        rest = abs(left) % abs(right)
        return -rest if left < 0 else rest
    return math.fmod(left, right)


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _remainder,
}
