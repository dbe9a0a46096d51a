"""Read the value of a field by its kind: one function per kind, from a node to a value of the model, or `InvalidValue`.

The functions do not know other fields, other steps or the location in the document.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from typing_extensions import assert_never

from pollflow.amounts import duration, over_limit
from pollflow.fdl.durations import seconds_hint
from pollflow.fdl.expr import ExpressionSyntaxError, Path, compile_condition, compile_path
from pollflow.fdl.expr.path import starts_path
from pollflow.fdl.fields import ACTION_PATTERN, MAX_NAME, MAX_TEXT, NAME_PATTERN, STEP_FIELDS, Field, Kind
from pollflow.fdl.lookalikes import plain
from pollflow.fdl.model import Constant
from pollflow.fdl.moments import parse_moment, parse_yaml_moment
from pollflow.fdl.reader import MAX_BYTES, Node, Object, Scalar, Sequence, to_json
from pollflow.fdl.resources import parse_arn
from pollflow.fdl.scalars import old_boolean
from pollflow.fdl.synonyms import similar_type
from pollflow.suggestions import near

STEP_TYPES = tuple(STEP_FIELDS)
MAPPING_ROOTS = ("input", "local", "context")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class InvalidValue(Exception):
    """A value is not valid for its field. `node` is the value, or the invalid part of it."""

    def __init__(self, message: str, node: Node, *, column: int = 0, code: str = "invalid-value") -> None:
        self.message = message
        self.node = node
        self.column = column
        self.code = code
        super().__init__(message)


def read_value(node: Node, field: Field) -> Any:
    """Return the field's value for the model; raises `InvalidValue`."""
    return READERS[field.kind](node, field)


def shown(node: Node) -> str:
    """Return a value in the form for error messages."""
    match node:
        case Sequence():
            return "a list"
        case Object():
            return "an object"
        case Scalar():
            text = json.dumps(node.text if isinstance(node.value, str) else node.value, ensure_ascii=False)
            return text if len(text) <= 60 else f"{text[:57]}…{text[0] if text[0] == chr(34) else ''}"
        case _:
            assert_never(node)


def _must_be(expected: str, node: Node, *, hint: str = "") -> InvalidValue:
    return InvalidValue(f"must be {expected}, not {shown(node)}{hint}", node)


def _text(node: Node, expected: str, *, limit: int = MAX_TEXT) -> str:
    """Return the text of a scalar as it is written: `cause: 503` and `name: no` are texts where a field needs one."""
    if not isinstance(node, Scalar) or node.value is None:
        raise _must_be(expected, node)
    if len(node.text) > limit:
        raise InvalidValue(over_limit(f"has {len(node.text):,} characters", limit), node)
    return node.text


def _not_empty(node: Node, expected: str, *, limit: int = MAX_TEXT) -> str:
    text = _text(node, expected, limit=limit)
    if not text.strip():
        raise _must_be(expected, node)
    return text


def _one_of(node: Node, field: Field) -> str:
    expected = " or ".join(f'"{value}"' for value in field.values)
    if len(field.values) > 2:
        expected = f"one of {', '.join(field.values)}"
    text = _text(node, expected, limit=MAX_BYTES)
    if text in field.values:
        return text
    find = similar_type if field.values == STEP_TYPES else near
    guess = find(plain(text), field.values) if len(field.values) > 1 else None
    raise InvalidValue(f"must be {expected}, not {shown(node)}" + (f'; did you mean "{guess}"?' if guess else ""), node)


def _name(node: Node, field: Field) -> str:
    text = _text(node, "a name")
    if not re.fullmatch(NAME_PATTERN, text):
        raise _must_be(f"1 to {MAX_NAME} letters, digits, _ or -, with a letter or _ first", node)
    return text


def _step_name(node: Node, field: Field) -> str:
    text = _not_empty(node, "a non-empty text", limit=MAX_NAME)
    if _CONTROL.search(text):
        raise InvalidValue("must not contain line breaks or control characters", node)
    return text


def _key(node: Node, field: Field) -> str:
    return _not_empty(node, "a non-empty text")


def _text_or_path(node: Node, field: Field) -> Path | str:
    text = _text(node, "a text, or a $ path")
    return _path(text, node) if starts_path(text, ("",)) else text


def _boolean(node: Node, field: Field) -> bool:
    if isinstance(node, Scalar):
        if isinstance(node.value, bool):
            return node.value
        old = old_boolean(node.text) if node.plain else None
        if old is not None:
            return old
    raise _must_be("true or false", node)


def number_of(node: Node) -> int | float | None:
    """Return the number in the node, or None for any other value."""
    value = node.value if isinstance(node, Scalar) else None
    return None if isinstance(value, bool) or not isinstance(value, int | float) else value


def range_of(field: Field) -> str:
    """Return the range of the field in words, such as ` from 1 to 86400`; empty without a range."""
    if field.minimum is None:
        return ""
    if field.maximum is None or math.isinf(field.maximum):
        return f"{',' if field.is_seconds else ' of'} {field.minimum:g} or more"
    return f" from {field.minimum:g} to {field.maximum:.0f}"


def _number(node: Node, field: Field) -> float:
    value = number_of(node)
    if value is None or not _within(value, field):
        raise _must_be(f"a number{_unit_of(field)}{range_of(field)}", node, hint=_seconds_hint(node, field))
    return value


def _integer(node: Node, field: Field) -> int:
    value = number_of(node)
    if value is None or not _within(value, field) or value != int(value):
        raise _must_be(f"a whole number{_unit_of(field)}{range_of(field)}", node, hint=_seconds_hint(node, field))
    return int(value)


def _unit_of(field: Field) -> str:
    return " of seconds" if field.is_seconds else ""


def _seconds_hint(node: Node, field: Field) -> str:
    """Return what to write instead of a text such as `10s` or `"10"`; empty for other values and fields."""
    is_text = isinstance(node, Scalar) and isinstance(node.value, str)
    return seconds_hint(node.text) if field.is_seconds and is_text and isinstance(node, Scalar) else ""


def _within(value: float, field: Field) -> bool:
    """Return whether the number is in the field's range. Without a range, floats set the limit for calculations."""
    low = -1e300 if field.minimum is None else field.minimum
    high = 1e300 if field.maximum is None else field.maximum
    return low <= value <= high


def _duration(node: Node, field: Field) -> Path | float:
    expected = f"a number of seconds{range_of(field)}, or a $ path"
    value = number_of(node)
    if value is not None:
        if field.maximum is not None and value > field.maximum:
            statement = f"the wait takes {duration(value)}"
            raise InvalidValue(over_limit(statement, duration(field.maximum), "max_wait"), node)
        if not _within(value, field):
            raise _must_be(expected, node)
        return value
    return _step_path(node, expected, hint=_seconds_hint(node, field))


def _timestamp(node: Node, field: Field) -> Path | float:
    expected = "a time such as 2026-01-31T12:00:00Z, or a $ path"
    if isinstance(node, Scalar):
        moment = parse_yaml_moment(node.text) if node.plain else parse_moment(node.text)
        if moment is not None and math.isfinite(moment):
            return moment
    return _step_path(node, expected)


def _collection(node: Node, field: Field) -> Path:
    return _step_path(node, "a $ path to a list in the step's input, such as $.names")


def _step_path(node: Node, expected: str, *, hint: str = "") -> Path:
    text = node.value if isinstance(node, Scalar) else None
    if not isinstance(text, str) or not starts_path(text, ("",)):
        if isinstance(text, str) and starts_path(text, MAPPING_ROOTS):
            hint = "; here $ is the step's own input, so write $.key"
        raise _must_be(expected, node, hint=hint)
    return _path(text, node)


def _path(text: str, node: Node) -> Path:
    try:
        return compile_path(text)
    except ExpressionSyntaxError as error:
        raise _syntax("path", error, node) from None


def _condition(node: Node, field: Field) -> Any:
    # The compiler reports a text over the limit of expressions.
    text = _text(node, "a condition", limit=MAX_BYTES)
    try:
        return compile_condition(text)
    except ExpressionSyntaxError as error:
        raise _syntax("condition", error, node) from None


def _syntax(what: str, error: ExpressionSyntaxError, node: Node) -> InvalidValue:
    message = f"is not a valid {what}: {error.message} (character {error.column} of {shown(node)})"
    column = 0
    if isinstance(node, Scalar) and node.offset is not None:
        column = node.column + node.offset + error.column - 1
    return InvalidValue(message, node, column=column, code="expression-syntax")


def _arn(node: Node, field: Field) -> Any:
    expected = "the name of a resource, such as acs:fc:::services/SERVICE/functions/FUNCTION"
    return parse_arn(_not_empty(node, expected))


def _action(node: Node, field: Field) -> str:
    text = _text(node, "product:Operation")
    if not re.fullmatch(ACTION_PATTERN, text):
        raise _must_be("product:Operation, such as fnf:StartExecution", node)
    return text


def _goto(node: Node, field: Field) -> str:
    return _not_empty(node, "the name of a step", limit=MAX_BYTES)


def _errors(node: Node, field: Field) -> tuple[str, ...]:
    expected = "a list of error names, such as [FnF.ALL]"
    if not isinstance(node, Sequence) or not node.items:
        value = "an empty list" if isinstance(node, Sequence) else shown(node)
        raise InvalidValue(f"must be {expected}, not {value}", node)
    return tuple(_not_empty(item, "an error name") for item in node.items)


def _source(node: Node, field: Field) -> Path | Constant:
    value = to_json(node)
    if isinstance(value, str) and starts_path(value, MAPPING_ROOTS):
        return _path(value, node)
    return Constant(value)


def _params(node: Node, field: Field) -> Any:
    if not isinstance(node, Object):
        raise _must_be("an object", node)
    return _with_paths(node)


def _with_paths(node: Node) -> Any:
    match node:
        case Sequence():
            return [_with_paths(item) for item in node.items]
        case Object():
            return {key.text: _with_paths(value) for key, value in node.entries}
        case Scalar():
            is_path = isinstance(node.value, str) and starts_path(node.value, ("",))
            return _path(node.value, node) if is_path else node.value
        case _:
            assert_never(node)


READERS: dict[Kind, Callable[[Node, Field], Any]] = {
    Kind.ONE_OF: _one_of,
    Kind.NAME: _name,
    Kind.STEP_NAME: _step_name,
    Kind.KEY: _key,
    Kind.TEXT_OR_PATH: _text_or_path,
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.DURATION: _duration,
    Kind.TIMESTAMP: _timestamp,
    Kind.PATH: _collection,
    Kind.CONDITION: _condition,
    Kind.ARN: _arn,
    Kind.ACTION: _action,
    Kind.GOTO: _goto,
    Kind.ERRORS: _errors,
    Kind.SOURCE: _source,
    Kind.PARAMS: _params,
}
"""Readers of all kinds but those that contain objects or steps, which `check.py` reads."""
