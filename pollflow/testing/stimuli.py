"""Stimuli: what happens to an execution from outside, at `seconds` of virtual time since the start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from pollflow.fdl.model import JsonObject
from pollflow.machine.limits import MAX_CAUSE, MAX_ERROR
from pollflow.runtime import arguments
from pollflow.runtime.objects import plain_json


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the execution."""

    seconds: float
    error: str = ""
    cause: str = ""

    def __post_init__(self) -> None:
        arguments.number("seconds", self.seconds)
        _check_error(self.error, self.cause)


@dataclass(frozen=True, slots=True)
class ReportSucceeded:
    """Report the task that waits at the step as succeeded."""

    seconds: float
    step: str
    output: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        arguments.number("seconds", self.seconds)
        arguments.text("step", self.step, minimum=1)
        plain_json("output", arguments.instance("output", self.output, dict, "a JSON object (a dict)"))


@dataclass(frozen=True, slots=True)
class ReportFailed:
    """Report the task that waits at the step as failed."""

    seconds: float
    step: str
    error: str = ""
    cause: str = ""

    def __post_init__(self) -> None:
        arguments.number("seconds", self.seconds)
        arguments.text("step", self.step, minimum=1)
        _check_error(self.error, self.cause)


def _check_error(error: str, cause: str) -> None:
    arguments.text("error", error, maximum=MAX_ERROR)
    arguments.text("cause", cause, maximum=MAX_CAUSE)


STIMULI = (Stop, ReportSucceeded, ReportFailed)
Stimulus: TypeAlias = Stop | ReportSucceeded | ReportFailed
