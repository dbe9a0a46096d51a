"""Tracebacks of failed calls: `show --traceback` prints the last one, `history --full` those of all events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pollflow.errors import error_text
from pollflow.printable import clean

if TYPE_CHECKING:
    from pollflow.client import HistoryEntry

_FIELD = "traceback"


def detail_without(event: HistoryEntry) -> dict[str, Any]:
    """Return the detail of an event without the traceback, which is long."""
    return {name: value for name, value in event.detail.items() if name != _FIELD}


def lines_of(event: HistoryEntry) -> Iterator[str]:
    """Yield the frames of an event's traceback, the last call last; nothing if it has none."""
    for frame in event.detail.get(_FIELD, ()):
        yield f"  {clean(str(frame))}"


def last_failure(events: Iterable[HistoryEntry]) -> HistoryEntry | None:
    """Return the last event that has a traceback."""
    failed = None
    for event in events:
        if _FIELD in event.detail:
            failed = event
    return failed


def failure_lines(event: HistoryEntry | None) -> Iterator[str]:
    """Yield the traceback of a failed call with its error, as Python prints them."""
    if event is None:
        yield "traceback: no call of a function has failed with an exception"
        return
    yield f"traceback of {clean(event.step)}, attempt {event.detail.get('attempt', 1)}"
    yield from lines_of(event)
    error, cause = clean(str(event.detail.get("error", ""))), clean(str(event.detail.get("cause", "")))
    yield error_text(error, cause)
