"""The events that `decide` accepts. (Events of the history are `HistoryEvent`.)"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pollflow.fdl.model import Json, JsonObject
from pollflow.machine.state import Join


@dataclass(frozen=True, slots=True)
class Arrived:
    """The message of the entry arrived when it was due. `join` is set for a map step whose children have started.

    `at` is the time of arrival in epoch seconds; None if unknown.
    """

    join: Join | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """All children have ended; `results` are their locals by index, None if they are too large together."""

    results: tuple[JsonObject, ...] | None


@dataclass(frozen=True, slots=True)
class Returned:
    """The call returned a value of any type; the task fails unless it is an object."""

    value: Json


@dataclass(frozen=True, slots=True)
class Raised:
    """The call failed. `also` holds further names of the error, such as those of its base classes.

    `traceback` has the last frames of the function, as `FILE:LINE in FUNCTION`. No decision depends on it.
    """

    error: str
    cause: str = ""
    also: tuple[str, ...] = ()
    traceback: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Submitted:
    """The call was made; its result arrives later, by a report or when the sub-flow ends."""

    detail: JsonObject


@dataclass(frozen=True, slots=True)
class ReportedSucceeded:
    """The waiting task was reported as succeeded, `by` someone or by the end of its sub-execution."""

    output: JsonObject
    by: str = ""


@dataclass(frozen=True, slots=True)
class ReportedFailed:
    """The waiting task was reported as failed, `by` someone or by the end of its sub-execution."""

    error: str
    cause: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The attempt's deadline has passed."""


Event: TypeAlias = Arrived | Joined | Returned | Raised | Submitted | ReportedSucceeded | ReportedFailed | TimedOut
