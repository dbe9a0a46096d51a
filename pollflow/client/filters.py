"""The filters of a list of executions: one flow or status, or several of which any may apply."""

from __future__ import annotations

from collections.abc import Sequence

from pollflow.errors import InvalidArgument
from pollflow.machine import Status
from pollflow.runtime import arguments
from pollflow.runtime.arguments import shown
from pollflow.suggestions import near

STATUSES = tuple(status.value for status in Status)


def flow_filter(flow: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the flows; empty for all flows."""
    return tuple(arguments.name("flow", name) for name in _several("flow", flow))


def status_filter(status: str | Sequence[str] | None) -> tuple[Status, ...]:
    """Return the statuses, in any case of letters; empty for every status. Raises InvalidArgument for another text."""
    return tuple(_status(name) for name in _several("status", status))


def _several(argument: str, value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    values = (value,) if isinstance(value, str) else value
    if not isinstance(values, Sequence) or not all(isinstance(each, str) for each in values):
        raise InvalidArgument(f"{argument} must be a text or a list of texts, not {shown(value)}")
    if not values:
        raise InvalidArgument(f"{argument} must not be an empty list; leave it out to select all")
    return tuple(dict.fromkeys(values))


def _status(name: str) -> Status:
    for known in Status:
        if known.value.lower() == name.lower():
            return known
    guess = near(name, STATUSES)
    hint = f"did you mean {guess}? " if guess else ""
    raise InvalidArgument(f"unknown status {shown(name)}; {hint}The statuses are {', '.join(STATUSES)}")
