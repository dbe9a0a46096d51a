"""Paths: `$input.a[0]`, `$local[*].parts[*]`, and `$.a`, where `$` alone is a step's input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from lark import Token, Transformer, v_args

from pollflow.fdl.expr.syntax import PATH_GRAMMAR, ExpressionSyntaxError, parse, unquoted


class Missing(Enum):
    """The type of `MISSING`, so that type checkers can tell it from values."""

    MISSING = "missing"


class Every(Enum):
    """The part `[*]` of a path."""

    EVERY = "*"


MISSING: Final = Missing.MISSING
"""What a path that leads nowhere reads."""

Part: TypeAlias = "str | int | Every"


@dataclass(frozen=True, slots=True)
class Path:
    """A way to a value: `root` is `input`, `local`, `context` or, for `$` alone, the empty text."""

    text: str
    root: str
    parts: tuple[Part, ...]

    def read(self, roots: Mapping[str, Any]) -> Any | Missing:
        """The value under the root of that name, or `MISSING`.

        A path with `[*]` gives a list, flattened at each further `[*]`; elements in which the rest of the path
        leads nowhere are left out.
        """
        value = roots.get(self.root, MISSING)
        several: list[Any] | None = None
        for part in self.parts:
            if part is Every.EVERY:
                if several is None and not isinstance(value, list):
                    return MISSING
                several = list(value) if several is None else _flattened(several)
            elif several is None:
                value = _inside(value, part)
            else:
                found = (_inside(element, part) for element in several)
                several = [element for element in found if element is not MISSING]
        return value if several is None else several

    def __str__(self) -> str:
        return self.text


def _inside(value: Any, part: str | int) -> Any | Missing:
    if isinstance(part, str):
        return value.get(part, MISSING) if isinstance(value, dict) else MISSING
    if isinstance(value, list) and -len(value) <= part < len(value):
        return value[part]
    return MISSING


def _flattened(values: Iterable[Any]) -> list[Any]:
    return [element for value in values if isinstance(value, list) for element in value]


def compile_path(text: str) -> Path:
    """The path that the text says; raises `ExpressionSyntaxError`."""
    root, parts = parse(PATH_GRAMMAR, text, _PathBuilder)
    return Path(text, root, parts)


def starts_path(text: str, roots: Iterable[str]) -> bool:
    """Whether the text is one of these roots, or starts with one followed by `.` or `[`: then it must be a path."""
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
        if len(token) > 10:
            raise ExpressionSyntaxError("an index has at most 9 digits", (token.start_pos or 0) + 1)
        return int(token)

    def quoted_key(self, token: Token) -> str:
        return unquoted(token)

    def every(self, _: Token) -> Every:
        return Every.EVERY
