"""What a run in virtual time has come to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pollflow.fdl.model import JsonObject, Resource
from pollflow.machine import Status
from pollflow.runtime.functions import names_of
from pollflow.store import StoredEvent


@dataclass(frozen=True, slots=True)
class CallMade:
    """One call, made anew ones included. `seconds` is when it began."""

    seconds: float
    flow: str
    step: str
    resource: Resource
    input: JsonObject


@dataclass(frozen=True, slots=True)
class RunResult:
    """One execution in virtual time. `seconds` is from its start to its end, or to the last thing that happened.

    `calls` are those of all executions of the run; `refused` tells what was done from outside in vain;
    `sub_executions` are those that steps started, in the order of their starts.
    """

    flow: str
    name: str
    status: Status
    output: JsonObject | None
    error: str | None
    cause: str | None
    seconds: float
    history: tuple[StoredEvent, ...]
    calls: tuple[CallMade, ...] = ()
    refused: tuple[str, ...] = ()
    sub_executions: tuple[RunResult, ...] = ()

    @property
    def steps(self) -> list[str]:
        """The names of the steps in the order in which they were entered."""
        return [event.step for event in self.history if event.type == "StepEntered"]

    @property
    def visits(self) -> Counter[str]:
        """How often each step was entered."""
        return Counter(self.steps)

    def calls_of(self, name: str) -> list[JsonObject]:
        """What each call of a function was given; by full ARN, `SERVICE/FUNCTION` or `FUNCTION`."""
        return [call.input for call in self.calls if name in names_of(call.resource)]
