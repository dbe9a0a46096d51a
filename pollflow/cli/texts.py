"""Format durations, times, JSON and columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pollflow.cli.encoding import is_unicode
from pollflow.printable import json_text


def duration(seconds: float) -> str:
    """Return a short text for a duration: `0.03 s`, `12.4 s`, `3 min 20 s`, `2 h 05 min`."""
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02} h"


def countdown(seconds: float) -> str:
    """Return the rest of a wait in whole seconds."""
    whole = max(0, -int(-seconds // 1))
    return f"{whole} s" if whole < 60 else duration(whole)


def moment(at: datetime) -> str:
    """Return a time in the time zone of this machine."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def between(begin: datetime, end: datetime) -> str:
    """Return the duration between two times."""
    return duration((end - begin) / timedelta(seconds=1))


def compact(value: Any) -> str:
    """Return JSON on one line, in characters that standard output encodes."""
    return _json(value, None)


def pretty(value: Any) -> str:
    """Return indented JSON, in characters that standard output encodes."""
    return _json(value, 2)


def _json(value: Any, indent: int | None) -> str:
    return json_text(value, indent=indent, is_ascii=not is_unicode())


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 file`, `2 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shortened(text: str, width: int) -> str:
    """Return the text, cut to `width` characters."""
    return text if len(text) <= width else text[: max(1, width - 1)] + "…"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines. Each column is as wide as its longest text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
