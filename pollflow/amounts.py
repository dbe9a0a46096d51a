"""Amounts in messages: durations, and values that exceed a limit. Every message about a limit has the same form."""

from __future__ import annotations

import math

_MAX_SECONDS = 1e15
_UNITS = ((86_400, "day"), (3600, "h"), (60, "min"))


def duration(seconds: float) -> str:
    """Return an exact duration in words: `0.25 s`, `3 min 20 s`, `365 days`, `1 day 2 h`."""
    # An integer of any size can be compared, but not converted.
    if abs(seconds) >= _MAX_SECONDS:
        return f"{_MAX_SECONDS:g} s or more"
    if math.isnan(seconds):
        return "nan s"
    if seconds < 0:
        return f"-{duration(-seconds)}"
    left, parts = round(seconds, 6), []
    for size, unit in _UNITS:
        count, left = int(left // size), left % size
        if count:
            parts.append(f"{count:,} {unit}{'s' if unit == 'day' and count != 1 else ''}")
    if left or not parts:
        parts.append(f"{round(left, 6):.6f}".rstrip("0").rstrip(".") + " s")
    return " ".join(parts)


def over_limit(statement: str, limit: float | str, setting: str = "") -> str:
    """Return a statement such as `the execution has 251,000 events` with the limit and the setting that changes it.

    `limit` is a number of the unit that the statement names, or a text with its own unit.
    """
    shown = limit if isinstance(limit, str) else f"{limit:,}"
    return f"{statement}, more than the limit of {shown}" + (f" (pollflow_{setting})" if setting else "")


def too_deep(subject: str, limit: int) -> str:
    """Return that a value is nested too deeply. Readers stop at the first level over the limit."""
    return over_limit(f"{subject} is nested at least {limit + 1:,} levels deep", limit)
