"""Paths: `$input.a[0]`, `$local[*].parts[*]`, and `$.a`, where `$` alone is a step's input."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from lark import Token, Transformer, v_args

from pollflow.amounts import over_limit
from pollflow.fdl.expr.syntax import PATH_GRAMMAR, ExpressionSyntaxError, parse, unquoted

_MAX_DIGITS = 10
"""The most digits of an index."""


class Missing(Enum):
    """The type of `MISSING`, so that type checkers can tell it from values."""

    MISSING = "missing"


class Wildcard(Enum):
    """The type of the part `[*]` of a path."""

    ALL = "*"


MISSING: Final = Missing.MISSING
"""The result of a path to a value that does not exist."""

Part: TypeAlias = "str | int | Wildcard"


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path. `root` is `input`, `local` or `context`, or the empty text for `$` alone."""

    text: str
    root: str
    parts: tuple[Part, ...]

    def read(self, roots: Mapping[str, Any], spend: Callable[[int], object] | None = None) -> Any | Missing:
        """Return the value at the path, or `MISSING`.

        A path with `[*]` returns a list, flattened at each further `[*]`. Elements that do not have the rest of the
        path are left out. `spend` is called with the number of elements of each list that is made on the way.
        """
        value = roots.get(self.root, MISSING)
        matches: list[Any] | None = None
        for part in self.parts:
            if part is Wildcard.ALL:
                if matches is None and not isinstance(value, list):
                    return MISSING
                matches = list(value) if matches is None else _flattened(matches)
            elif matches is None:
                value = _child(value, part)
            else:
                found = (_child(element, part) for element in matches)
                matches = [element for element in found if element is not MISSING]
            if spend is not None and matches is not None:
                spend(len(matches))
        return value if matches is None else matches

    def __str__(self) -> str:
        return self.text


def _child(value: Any, part: str | int) -> Any | Missing:
    if isinstance(part, str):
        return value.get(part, MISSING) if isinstance(value, dict) else MISSING
    if isinstance(value, list) and -len(value) <= part < len(value):
        return value[part]
    return MISSING


def _flattened(values: Iterable[Any]) -> list[Any]:
    return [element for value in values if isinstance(value, list) for element in value]


def compile_path(text: str) -> Path:
    """Return the compiled path; raises `ExpressionSyntaxError`."""
    root, parts = parse(PATH_GRAMMAR, text, _PathBuilder)
    return Path(text, root, parts)


def starts_path(text: str, roots: Iterable[str]) -> bool:
    """Return whether the text must be a path: it is one of these roots, or starts with one and `.` or `[`."""
    for root in roots:
        start = f"${root}"
        if text == start or text.startswith((f"{start}.", f"{start}[")):
            return True
    return False


@v_args(inline=True)
class _PathBuilder(Transformer[Token, Any]):
    def start(self, root: Token, *parts: Part) -> tuple[str, tuple[Part, ...]]:
        return str(root[1:]), parts

    def key(self, token: Token) -> str:
        return str(token)

    def index(self, token: Token) -> int:
        digits = len(token.lstrip("-"))
        if digits > _MAX_DIGITS:
            message = over_limit(f"the index has {digits:,} digits", _MAX_DIGITS)
            raise ExpressionSyntaxError(message, (token.start_pos or 0) + 1)
        return int(token)

    def quoted_key(self, token: Token) -> str:
        return unquoted(token)

    def wildcard(self, _: Token) -> Wildcard:
        return Wildcard.ALL
