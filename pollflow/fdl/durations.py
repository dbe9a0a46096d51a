"""Read durations in the forms that FDL does not have, for messages that say what to write instead."""

from __future__ import annotations

import re

_MAX_LENGTH = 100
_UNITS: dict[str, float] = {
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}
_PART = r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([a-z]+)"
_PARTS = re.compile(rf"(?:{_PART}\s*)+")
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_CLOCK = re.compile(r"(?:([0-9]{1,3}):)?([0-9]{1,2}):([0-9]{2})")
_ISO = re.compile(r"p(?:([0-9]{1,6}(?:w|d)))?(?:t((?:[0-9]{1,6}(?:\.[0-9]{1,9})?[hms])+))?")


def seconds_in(text: str) -> float | None:
    """Return the seconds of a text such as `10s`, `1h 30m`, `500 ms`, `PT10M`, `01:30:00` or `10`; None for others."""
    if len(text) > _MAX_LENGTH:  # a regular expression keeps each of a million parts
        return None
    text = text.strip().lower()
    if _NUMBER.fullmatch(text):
        return float(text)
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return hours * 3600.0 + minutes * 60 + seconds
    iso = _ISO.fullmatch(text)
    if iso is not None and any(iso.groups()):
        text = "".join(part or "" for part in iso.groups())
    if not _PARTS.fullmatch(text):
        return None
    parts = re.findall(_PART, text)
    if any(unit not in _UNITS for _, unit in parts):
        return None
    return round(sum(float(number) * _UNITS[unit] for number, unit in parts), 9)


def seconds_hint(text: str) -> str:
    """Return the end of a message about a duration in another form, such as `; write 600`; else an empty text."""
    seconds = seconds_in(text)
    if seconds is None:
        return ""
    return f"; write {seconds:.9f}".rstrip("0").rstrip(".")
