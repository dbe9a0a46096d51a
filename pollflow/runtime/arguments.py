"""Checks of the arguments of the public API. Each returns the argument, or raises InvalidArgument.

A message names the argument, what is allowed, and what was passed: bounded, and without texts that may be secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from os import PathLike
from typing import Any, NoReturn, TypeVar

from pollflow.errors import InvalidArgument

MAX_NAME = 128
MAX_TEXT = 4096
_MAX_SHOWN = 60
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_SURROGATE = re.compile("[\ud800-\udfff]")
T = TypeVar("T")


def shown(value: Any) -> str:
    """Return a value for a message: short scalars as in Python, all others by their type. Runs none of their code."""
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if type(value) is str:
        return ascii_safe(repr(value)) if len(value) <= _MAX_SHOWN else f"a text of {len(value):,} characters"
    if type(value) is int and value.bit_length() > 128:
        return "a number of more than 38 digits"
    if type(value) in (int, float, datetime):
        return repr(value)
    name = type(value).__name__
    return f"a value of type {name if len(name) <= _MAX_SHOWN else name[:_MAX_SHOWN] + '…'}"


def ascii_safe(text: str) -> str:
    """Return the text with lone surrogates as escapes, so that any UTF-8 stream can carry it."""
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def text(argument: str, value: Any, *, minimum: int = 0, maximum: int = MAX_TEXT, is_secret: bool = False) -> str:
    """Return a text of `minimum` to `maximum` characters."""
    expected = f"a text of {minimum} to {maximum:,} characters"
    if not isinstance(value, str):
        _refuse(argument, expected, shown(value))
    plain = str.__str__(value)  # the text of a subclass, such as a member of an enumeration
    if not minimum <= len(plain) <= maximum:
        passed = f"one of {len(plain):,} characters" if is_secret or len(plain) > _MAX_SHOWN else shown(plain)
        _refuse(argument, expected, passed)
    return plain


def unicode_text(argument: str, value: Any, *, minimum: int = 0, maximum: int = MAX_TEXT) -> str:
    """Return a text as `text` does. Refuses lone surrogates, which UTF-8 cannot represent."""
    checked = text(argument, value, minimum=minimum, maximum=maximum)
    found = _SURROGATE.search(checked)
    if found is not None:
        _refuse(argument, "a text without lone surrogates", f"one with U+{ord(found[0]):04X} at index {found.start()}")
    return checked


def name(argument: str, value: Any) -> str:
    """Return the name of a flow or an execution."""
    plain = str.__str__(value) if isinstance(value, str) else ""
    if not _NAME.fullmatch(plain):
        expected = f"1 to {MAX_NAME} letters, digits, _ or - of ASCII, with a letter or _ first"
        _refuse(argument, expected, shown(plain if isinstance(value, str) else value))
    return plain


def number(argument: str, value: Any, *, minimum: float = 0, unit: str = "") -> float:
    """Return a finite number of `minimum` or more."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(_float(value)) or value < minimum:
        _refuse(argument, f"a number{f' of {unit}' if unit else ''}, {minimum:g} or more", shown(value))
    return _float(value)


def integer(argument: str, value: Any, *, minimum: int, maximum: int) -> int:
    """Return a whole number from `minimum` to `maximum`."""
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
        _refuse(argument, f"a whole number from {minimum} to {maximum:,}", shown(value))
    return int(value)


def boolean(argument: str, value: Any) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        _refuse(argument, "True or False", shown(value))
    return value


def moment(argument: str, value: Any) -> datetime:
    """Return a datetime with a time zone."""
    if not isinstance(value, datetime):
        _refuse(argument, "a datetime with a time zone", shown(value))
    if value.utcoffset() is None:
        _refuse(argument, "a datetime with a time zone, such as datetime.now(timezone.utc)", f"{shown(value)}, without")
    return value


def path(argument: str, value: Any) -> str | PathLike[str]:
    """Return the path of a file as it was passed."""
    if not isinstance(value, str | PathLike) or not str(value):
        _refuse(argument, "a path: a text or a pathlib.Path", shown(value))
    return value


def function(argument: str, value: Any) -> Any:
    """Return a function, or another object that can be called."""
    if not callable(value):
        _refuse(argument, "a function", shown(value))
    return value


def instance(argument: str, value: Any, kind: type[T] | tuple[type[T], ...], expected: str) -> T:
    """Return an instance of a class, or of one of several."""
    if not isinstance(value, kind):
        _refuse(argument, expected, shown(value))
    return value


def items(argument: str, value: Any, kinds: tuple[type[Any], ...], expected: str) -> list[Any]:
    """Return the items of a collection, all of which are instances of `kinds`. A single text is no collection."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        _refuse(argument, expected, shown(value))
    found = list(value)
    for index, item in enumerate(found):
        if not isinstance(item, kinds):
            _refuse(f"{argument}[{index}]", expected, shown(item))
    return found


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _refuse(argument: str, expected: str, passed: str) -> NoReturn:
    raise InvalidArgument(f"{argument} must be {expected}, not {passed}")
