"""Stimuli: what happens to an execution from outside, at `seconds` of virtual time since the start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from pollflow.fdl.model import JsonObject


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the execution."""

    seconds: float
    error: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class ReportSucceeded:
    """Report the task that waits at the step as succeeded."""

    seconds: float
    step: str
    output: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportFailed:
    """Report the task that waits at the step as failed."""

    seconds: float
    step: str
    error: str = ""
    cause: str = ""


Stimulus: TypeAlias = Stop | ReportSucceeded | ReportFailed
