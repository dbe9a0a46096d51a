"""The result of a run in virtual time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pollflow.fdl.model import JsonObject, Resource
from pollflow.machine import Status
from pollflow.runtime import arguments
from pollflow.runtime.functions import names_of
from pollflow.store import ExecutionRecord, Reading, StoredEvent


@dataclass(frozen=True, slots=True)
class CallMade:
    """One call of a function or a sub-flow. `seconds` is when it began, since the start of the run."""

    seconds: float
    flow: str
    step: str
    resource: Resource
    input: JsonObject


@dataclass(frozen=True, slots=True)
class RunResult:
    """One execution in virtual time. `seconds` is from its start to its end, or to the last event if it has not ended.

    `calls` has the calls of all executions of the run; a call that is repeated after its worker died counts again.
    `refused` has the reasons of the stimuli without effect. `sub_executions` has the executions that steps started, in
    the order of their starts.
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
        """The names of the steps, in the order in which they were entered."""
        return [event.step for event in self.history if event.type == "StepEntered"]

    @property
    def visits(self) -> Counter[str]:
        """How often each step was entered."""
        return Counter(self.steps)

    def calls_of(self, name: str) -> list[JsonObject]:
        """Return the input of each call of a function, named by full ARN, `SERVICE/FUNCTION` or `FUNCTION`."""
        arguments.text("name", name)
        return [call.input for call in self.calls if name in names_of(call.resource)]


def read_result(reading: Reading, record: ExecutionRecord, read_at: float) -> RunResult:
    """Read the result of one execution. `read_at` is the time of the run's end in epoch seconds."""
    history = tuple(reading.whole_history(record.key))
    ended = record.ended_at or max(history[-1].at, read_at)
    has_failed = record.status.ended and record.status is not Status.SUCCEEDED
    return RunResult(
        flow=record.ref.flow,
        name=record.ref.name,
        status=record.status,
        output=record.output,
        error=record.error if has_failed else None,
        cause=record.cause if has_failed else None,
        seconds=round(ended - record.started_at, 6),
        history=history,
    )
