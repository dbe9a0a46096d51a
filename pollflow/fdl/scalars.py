"""The values of plain YAML scalars: the core schema of YAML 1.2, and the octal, binary and `1_000` forms of
YAML 1.1.

`no`, `on` and `yes` are texts, but a field that needs a boolean accepts them. `12:30` is a text, `1e3` a number. A time
is a text; `moments.py` reads it for a field that needs a time.
"""

from __future__ import annotations

import math
import re
from typing import Any

from pollflow.amounts import over_limit

MAX_DIGITS = 1000
"""The most digits of a number; Python itself refuses more than a few thousand."""

_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_OLD_BOOLEANS = {
    **dict.fromkeys(("y", "yes", "on"), True),
    **dict.fromkeys(("n", "no", "off"), False),
}
_INTEGER = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9]+|[1-9][0-9_]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_BASES = {"0b": 2, "0o": 8, "0x": 16}


class NotJson(ValueError):
    """A scalar whose value JSON cannot represent."""


def resolve(text: str) -> Any:
    """Return the value of a plain scalar; raises `NotJson`."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if not text or text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if not math.isfinite(value):
            raise NotJson(f"{text} is out of range")
        return value
    if _NO_NUMBER.fullmatch(text):
        raise NotJson(f"JSON has no {text}")
    return text


def old_boolean(text: str) -> bool | None:
    """Return the boolean of a plain `yes`, `no`, `on` or `off`; None for any other text."""
    return _OLD_BOOLEANS.get(text.lower())


def _integer(text: str) -> int:
    digits = text.lstrip("+-").replace("_", "")
    if len(digits) > MAX_DIGITS:
        raise NotJson(over_limit(f"the number has {len(digits):,} digits", MAX_DIGITS))
    sign = -1 if text.startswith("-") else 1
    base = _BASES.get(digits[:2])
    if base is not None:
        return sign * int(digits[2:] or "0", base)
    if len(digits) > 1 and digits.startswith("0") and not set(digits) & {"8", "9"}:
        return sign * int(digits, 8)
    return sign * int(digits)
