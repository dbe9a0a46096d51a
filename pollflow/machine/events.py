"""What can happen to a frame: the events that go into `decide`. (What history holds is a `HistoryEvent`.)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pollflow.fdl.model import Json, JsonObject
from pollflow.machine.state import Join


@dataclass(frozen=True, slots=True)
class Arrived:
    """The entry's message came, not before it was due. `join` is set where children are being joined.

    `at` is when, in epoch seconds; None where nobody says.
    """

    join: Join | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """All children have ended; `results` are their locals by index."""

    results: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class Returned:
    """The call came back with a value, which may be anything: what is no object fails the task."""

    value: Json


@dataclass(frozen=True, slots=True)
class Raised:
    """The call failed. `also` are further names that the error goes by, such as those of its base classes."""

    error: str
    cause: str = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Submitted:
    """The call was made, and its result comes later: by a report, or when the sub-flow ends."""

    detail: JsonObject


@dataclass(frozen=True, slots=True)
class ReportedSucceeded:
    """Somebody reported the waiting task as succeeded."""

    output: JsonObject


@dataclass(frozen=True, slots=True)
class ReportedFailed:
    """Somebody reported the waiting task as failed."""

    error: str
    cause: str = ""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The attempt's deadline has passed."""


Event: TypeAlias = Arrived | Joined | Returned | Raised | Submitted | ReportedSucceeded | ReportedFailed | TimedOut
