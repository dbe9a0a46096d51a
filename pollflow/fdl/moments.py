"""Convert times in RFC 3339, or in the more general forms of YAML, to epoch seconds.

`datetime.fromisoformat` does not read `Z` in Python 3.10, and accepts more than RFC 3339 in later versions.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,18}))?(?:[Zz]|([-+])(\d\d):(\d\d))", re.ASCII
)
_YAML = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)"
    r"(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d{0,18}))?(?:[ \t]*(?:[Zz]|([-+])(\d\d?)(?::?(\d\d))?))?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST = (datetime.min.replace(tzinfo=timezone.utc) - _EPOCH).total_seconds()
_LAST = (datetime(9999, 12, 31, tzinfo=timezone.utc) - _EPOCH).total_seconds()
"""A day before the last date, so that a short margin may be added."""


def parse_moment(text: str) -> float | None:
    """Return the epoch seconds of an RFC 3339 time, which has an offset; None for any other text.

    A time that is outside the years 1 to 9999 in UTC is no time either, since no date can represent it.
    """
    return _seconds(_RFC_3339.fullmatch(text))


def parse_yaml_moment(text: str) -> float | None:
    """Return the epoch seconds of a YAML time: in UTC without an offset, at midnight without an hour."""
    return _seconds(_YAML.fullmatch(text))


def _seconds(found: re.Match[str] | None) -> float | None:
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = found.groups()[6:]
    offset = timedelta(hours=int(offset_hours or 0), minutes=int(offset_minutes or 0))
    if offset >= timedelta(days=1) or int(offset_minutes or 0) > 59:
        return None
    leap = second == 60
    try:
        local = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=timezone.utc)
    except ValueError:
        return None
    whole = (local - _EPOCH).total_seconds() + leap
    ahead = offset.total_seconds() * (-1 if sign == "-" else 1)
    moment = whole - ahead + float(f"0.{fraction or 0}")
    return moment if _FIRST <= moment <= _LAST else None
