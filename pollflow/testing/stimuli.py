"""What is done to an execution from outside, at a moment of virtual time (seconds since the start)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from pollflow.fdl.model import JsonObject


@dataclass(frozen=True, slots=True)
class Stop:
    """Stops the execution."""

    seconds: float
    error: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class ReportSucceeded:
    """Reports the task that waits at the step, by its token, as succeeded."""

    seconds: float
    step: str
    output: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportFailed:
    """Reports the task that waits at the step, by its token, as failed."""

    seconds: float
    step: str
    error: str = ""
    cause: str = ""


Stimulus: TypeAlias = Stop | ReportSucceeded | ReportFailed
