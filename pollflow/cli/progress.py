"""The progress of an execution, computed from the events of its history: visits of steps, attempts and waits.

It knows neither terminals nor Redis. The same events always give the same lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pollflow.cli.texts import duration
from pollflow.errors import error_text
from pollflow.fdl import Flow, Step, WaitStep, parse_moment
from pollflow.fdl.expr import Path

if TYPE_CHECKING:
    from pollflow.client import HistoryEntry

Kind = Literal["entered", "left", "failed", "retry", "error"]
ENDS = {
    "ExecutionSucceeded": "Succeeded",
    "ExecutionFailed": "Failed",
    "ExecutionStopped": "Stopped",
    "ExecutionTimedOut": "TimedOut",
}


@dataclass(slots=True)
class Visit:
    """One visit of a step, the `number`th of this step in its frame. `depth` is the number of enclosing steps.

    `indexes` are those of the enclosing branches and iterations, the innermost last.
    """

    id: int
    step: str
    type: str
    number: int
    depth: int
    indexes: tuple[int, ...]
    entered_at: datetime
    until: datetime | None = None
    """When the wait ends, if the step waits."""
    note: str = ""
    """What the step does now, if the view shows it."""
    last_error: str = ""
    """The error of the last call."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where an event belongs: the enclosing visits, the innermost last, and the frame.

    A frame is identified by the event that entered its branch or iteration; 0 is the frame of the flow.
    """

    visits: tuple[Visit, ...] = ()
    frame: int = 0
    indexes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A line of output: a step was entered or left, it failed, or a call failed or is repeated."""

    kind: Kind
    at: datetime
    step: str
    type: str
    number: int
    depth: int
    indexes: tuple[int, ...]
    seconds: float = 0.0
    note: str = ""


@dataclass(slots=True)
class Progress:
    """The progress of one execution. `steps` has the definition of each step by name."""

    steps: dict[str, Step] = field(default_factory=dict)
    open: dict[int, Visit] = field(default_factory=dict)
    """The open visits, by the id of the event that entered the step."""
    count: int = 0
    started_at: datetime | None = None
    ended: str | None = None
    """The status of the ended execution."""
    _visits: Counter[tuple[int, str]] = field(default_factory=Counter)
    """The number of visits by frame and step, so that parallel iterations are counted separately."""
    _locations: dict[int, Location] = field(default_factory=dict)
    """The location of the events that an event causes, by its id."""

    def feed(self, event: HistoryEntry) -> Line | None:
        """Process the next event. Return a line if there is something to show."""
        self.count = event.id
        if event.type == "ExecutionStarted":
            self.started_at = event.time
        if event.type in ENDS:
            self.ended = ENDS[event.type]
            self.open.clear()
        location = self._locations.get(event.cause, Location())
        if event.type == "StepEntered":
            self._enter(event, location)
            return None  # shown with StepStarted, whose input determines the length of a wait
        if event.type in ("BranchEntered", "IterationEntered"):
            location = Location(location.visits, event.id, (*location.indexes, event.detail["index"]))
        self._locations[event.id] = location
        handler = _HANDLERS.get(event.type)
        if handler is None:
            return None
        visit = next((visit for visit in reversed(location.visits) if visit.step == event.step), None)
        return None if visit is None else handler(self, visit, event)

    def _enter(self, event: HistoryEntry, location: Location) -> None:
        self._visits[location.frame, event.step] += 1
        step = self.steps.get(event.step)
        visit = Visit(
            id=event.id,
            step=event.step,
            type="" if step is None else step.type,
            number=self._visits[location.frame, event.step],
            depth=len(location.visits),
            indexes=location.indexes,
            entered_at=event.time,
        )
        self.open[visit.id] = visit
        self._locations[event.id] = replace(location, visits=(*location.visits, visit))

    def _start(self, visit: Visit, event: HistoryEntry) -> Line:
        visit.until = end_of_wait(self.steps.get(event.step), event.detail.get("input"), event.time)
        left = None if visit.until is None else (visit.until - event.time) / timedelta(seconds=1)
        return _line("entered", visit, event, note="" if left is None else f"waits {duration(left)}")

    def _leave(self, visit: Visit, event: HistoryEntry) -> Line:
        self.open.pop(visit.id, None)
        location = self._locations[event.id]
        self._locations[event.id] = replace(location, visits=tuple(v for v in location.visits if v is not visit))
        return _line("left", visit, event)

    def _fail(self, visit: Visit, event: HistoryEntry) -> Line | None:
        if "goto" in event.detail:
            note = f"{_error(event.detail)}; caught, goes to {event.detail['goto']}"
            return _line("error", visit, event, note=note)  # a StepExited event follows
        self.open.pop(visit.id, None)
        return _line("failed", visit, event, note=_error(event.detail))

    def _call(self, visit: Visit, event: HistoryEntry) -> Line | None:
        attempt, start = event.detail.get("attempt", 1), event.detail.get("start", 1)
        visit.note = f"attempt {attempt}" if attempt > 1 else ""
        visit.until = None
        return _line("retry", visit, event, note="its worker ended; called again") if start > 1 else None

    def _keep_error(self, visit: Visit, event: HistoryEntry) -> None:
        visit.last_error = _error(event.detail)  # shown with the retry, the catch or the failure of the step

    def _schedule(self, visit: Visit, event: HistoryEntry) -> Line | None:
        seconds = event.detail.get("afterSeconds")
        if seconds is None:
            return None
        visit.until = event.time + timedelta(seconds=seconds)
        visit.note = f"attempt {event.detail.get('attempt')}"
        return _line("retry", visit, event, note=f"{visit.last_error}; {visit.note} in {duration(seconds)}")

    def _submit(self, visit: Visit, event: HistoryEntry) -> None:
        visit.note = "waiting for a callback"


_HANDLERS: dict[str, Callable[[Progress, Visit, HistoryEntry], Line | None]] = {
    "StepStarted": Progress._start,
    "StepExited": Progress._leave,
    "StepFailed": Progress._fail,
    "TaskStarted": Progress._call,
    "TaskFailed": Progress._keep_error,
    "TaskTimedOut": Progress._keep_error,
    "TaskScheduled": Progress._schedule,
    "TaskSubmitted": Progress._submit,
}


def steps_of(flow: Flow) -> dict[str, Step]:
    """Return the steps of a flow by name; the first of several with one name."""
    steps: dict[str, Step] = {}
    for series in flow.series.values():
        for step in series.steps:
            steps.setdefault(step.name, step)
    return steps


def end_of_wait(step: Step | None, input: Any, begin: datetime) -> datetime | None:
    """Return when a wait ends; None if the step is no wait or its definition and input do not determine it."""
    if not isinstance(step, WaitStep):
        return None
    source = step.duration if step.timestamp is None else step.timestamp
    value = source.read({"": input}) if isinstance(source, Path) else source
    if step.timestamp is not None and isinstance(value, str):
        value = parse_moment(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        if step.timestamp is None:
            return begin + timedelta(seconds=value)
        return datetime.fromtimestamp(value, begin.tzinfo)
    except (OverflowError, ValueError):
        return None


def _line(kind: Kind, visit: Visit, event: HistoryEntry, *, note: str = "") -> Line:
    seconds = (event.time - visit.entered_at) / timedelta(seconds=1)
    return Line(
        kind, event.time, visit.step, visit.type, visit.number, visit.depth, visit.indexes, seconds=seconds, note=note
    )


def _error(detail: dict[str, Any]) -> str:
    return error_text(detail.get("error") or "", detail.get("cause") or "") or "unknown error"
