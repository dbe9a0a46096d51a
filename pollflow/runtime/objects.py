"""Values from users as plain JSON, before they are stored."""

from __future__ import annotations

import json
import math
from typing import Any

from pollflow.amounts import over_limit, too_deep
from pollflow.errors import EntityTooLarge, InvalidArgument
from pollflow.fdl.model import Json, JsonObject
from pollflow.machine.data import MAX_DEPTH, TOO_DEEP, over_size, size_of
from pollflow.runtime.arguments import shown

_MAX_DIGITS = 4_300
"""Python itself converts no longer whole number from and to text."""
_TOO_LONG = 10**_MAX_DIGITS
_MAX_PATH = 100
_HINTS = {
    "Decimal": "pass str(value) or float(value)",
    "UUID": "pass str(value)",
    "bytearray": "decode it to a text",
    "bytes": "decode it to a text",
    "date": "pass value.isoformat()",
    "datetime": "pass value.isoformat()",
    "frozenset": "pass a list",
    "set": "pass a list",
}


# `json.dumps` makes an encoder at each call with options.
_ENCODER = json.JSONEncoder(allow_nan=False)


def checked_object(argument: str, value: Any, limit_bytes: int) -> JsonObject:
    """Return the value as plain JSON. Raises InvalidArgument for other values, EntityTooLarge over the limit."""
    return sized_object(argument, value, limit_bytes)[0]


def sized_object(argument: str, value: Any, limit_bytes: int) -> tuple[JsonObject, int]:
    """Return the value as `checked_object` does, and its size in bytes."""
    if not isinstance(value, dict):
        raise InvalidArgument(f"{argument} must be a JSON object (a dict), not {shown(value)}")
    plain: JsonObject = plain_json(argument, value)
    size = size_of(plain)
    if size > limit_bytes:
        raise EntityTooLarge(over_size(f"the {argument}", size, limit_bytes))
    return plain, size


def plain_json(name: str, value: Any) -> Json:
    """Return a copy as plain JSON: tuples become lists, members of an enumeration of texts or numbers their values.

    Raises InvalidArgument for a value that JSON cannot represent, with its path below `name`, also if JSON would
    change a key of an object.
    """
    try:
        plain: Json = json.loads(_ENCODER.encode(value))
        is_changed = plain != value
    except RecursionError:
        raise EntityTooLarge(over_size(f"the {name.removeprefix('the ')}", TOO_DEEP, 0)) from None
    except (TypeError, ValueError) as error:
        unknown = f"{name} cannot be represented in JSON"
        raise InvalidArgument(_Search().problem(value, name) or unknown) from error
    # The search is slow, so it only looks for a reason if the copy differs or cannot be made.
    if is_changed and (problem := _Search().problem(value, name)):
        raise InvalidArgument(problem)
    return plain


class _Search:
    """The search for the first part of a value that JSON cannot represent."""

    def __init__(self) -> None:
        self._above: set[int] = set()
        self._checked: set[int] = set()

    def problem(self, value: Any, path: str) -> str | None:
        """Return what is wrong, with the path of the part; None if nothing is."""
        if not isinstance(value, dict | list | tuple):
            return _scalar_problem(value, path)
        if id(value) in self._above:
            return f"{path} contains itself"
        if len(self._above) >= MAX_DEPTH:
            return too_deep(_cut(path), MAX_DEPTH)
        if id(value) in self._checked:
            return None
        self._above.add(id(value))
        found = (_keys_problem(value, path) if isinstance(value, dict) else None) or self._inner_problem(value, path)
        self._above.discard(id(value))
        self._checked.add(id(value))
        return found

    def _inner_problem(self, value: Any, path: str) -> str | None:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return next((found for key, inner in pairs if (found := self.problem(inner, _inside(path, key)))), None)


def _keys_problem(value: dict[Any, Any], path: str) -> str | None:
    for key in value:
        if not isinstance(key, str):
            return f"{path} has the key {shown(key)}; the keys of a JSON object are texts"
    if len({_joined(key) for key in value}) < len(value):
        return f"{path} has two keys that are the same text in JSON, since JSON joins two halves of a character"
    return None


def _scalar_problem(value: Any, path: str) -> str | None:
    if isinstance(value, int) and abs(value) >= _TOO_LONG:
        return over_limit(f"{path} is a number of {int(math.log10(abs(value))) + 1:,} digits", _MAX_DIGITS)
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path} is {float(value)!r}, which JSON does not have"
    if value is None or isinstance(value, str | int | float):
        return None
    hint = _HINTS.get(type(value).__name__, "pass texts, numbers, booleans, None, lists and dicts with text keys")
    return f"{path} is {shown(value)}, which JSON does not have; {hint}"


def _inside(path: str, key: Any) -> str:
    if isinstance(key, int):
        return _cut(f"{path}[{key}]")
    return _cut(f"{path}.{key}" if key.isidentifier() else f"{path}[{shown(str(key))}]")


def _cut(path: str) -> str:
    return path if len(path) <= _MAX_PATH else f"{path[:_MAX_PATH]}…"


def _joined(key: str) -> str:
    return key.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
