"""What an execution does, told from the events of its history: steps that are entered and left, tries, waits.

Values only: it knows neither terminals nor Redis, and the same events always tell the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pollflow.cli.texts import duration
from pollflow.fdl import Flow, Step, WaitStep, parse_moment
from pollflow.fdl.expr import Path

if TYPE_CHECKING:
    from pollflow.client import HistoryEntry

Kind = Literal["entered", "left", "failed", "again", "error"]
ENDS = {
    "ExecutionSucceeded": "Succeeded",
    "ExecutionFailed": "Failed",
    "ExecutionStopped": "Stopped",
    "ExecutionTimedOut": "TimedOut",
}


@dataclass(slots=True)
class Entry:
    """One visit of a step: the `number`th of this step in its frame. `depth` counts the steps around it.

    `indexes` are those of the branches and iterations around it, the innermost last.
    """

    id: int
    step: str
    type: str
    number: int
    depth: int
    indexes: tuple[int, ...]
    entered_at: datetime
    until: datetime | None = None
    """When its wait is over, if it waits."""
    note: str = ""
    """What it is doing, where that is worth saying."""
    missed: str = ""
    """How its last call failed."""


@dataclass(frozen=True, slots=True)
class ProjectLocation:
    """Where something happens: the entries around it, the innermost last, and in which frame.

    A frame is known by the event that began it: that of a branch or of an iteration; 0 is the flow's own.
    """

    entries: tuple[Entry, ...] = ()
    frame: int = 0
    indexes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """Something worth a line: a step was entered or left, it failed, or a call of it failed or is made again."""

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
    """Follows one execution, event by event. `steps` tells of each step's name what the definition says of it."""

    steps: dict[str, Step] = field(default_factory=dict)
    open: dict[int, Entry] = field(default_factory=dict)
    """The entries that have not ended, by the id of the event that began them."""
    count: int = 0
    started_at: datetime | None = None
    ended: str | None = None
    """The status that it has ended with."""
    _visits: Counter[tuple[int, str]] = field(default_factory=Counter)
    """By frame and step, since iterations are no tries of each other."""
    _places: dict[int, ProjectLocation] = field(default_factory=dict)
    """By event: where what it causes happens."""

    def feed(self, event: HistoryEntry) -> Line | None:
        """Takes the next event; a line, if there is something to tell."""
        self.count = event.id
        if event.type == "ExecutionStarted":
            self.started_at = event.time
        if event.type in ENDS:
            self.ended = ENDS[event.type]
            self.open.clear()
        location = self._places.get(event.cause, ProjectLocation())
        if event.type == "StepEntered":
            self._enter(event, location)
            return None  # told when it starts, since its own input says how long it waits
        if event.type in ("BranchEntered", "IterationEntered"):
            location = ProjectLocation(location.entries, event.id, (*location.indexes, event.detail["index"]))
        self._places[event.id] = location
        told = _TELLERS.get(event.type)
        if told is None:
            return None
        entry = next((entry for entry in reversed(location.entries) if entry.step == event.step), None)
        return None if entry is None else told(self, entry, event)

    def _enter(self, event: HistoryEntry, location: ProjectLocation) -> None:
        self._visits[location.frame, event.step] += 1
        step = self.steps.get(event.step)
        entry = Entry(
            id=event.id,
            step=event.step,
            type="" if step is None else step.type,
            number=self._visits[location.frame, event.step],
            depth=len(location.entries),
            indexes=location.indexes,
            entered_at=event.time,
        )
        self.open[entry.id] = entry
        self._places[event.id] = replace(location, entries=(*location.entries, entry))

    def _start(self, entry: Entry, event: HistoryEntry) -> Line:
        entry.until = end_of_wait(self.steps.get(event.step), event.detail.get("input"), event.time)
        left = None if entry.until is None else (entry.until - event.time) / timedelta(seconds=1)
        return _line("entered", entry, event, note="" if left is None else f"waits {duration(left)}")

    def _leave_to_later_release(self, entry: Entry, event: HistoryEntry) -> Line:
        self.open.pop(entry.id, None)
        location = self._places[event.id]
        self._places[event.id] = replace(location, entries=tuple(e for e in location.entries if e is not entry))
        return _line("left", entry, event)

    def _fail(self, entry: Entry, event: HistoryEntry) -> Line | None:
        if "goto" in event.detail:
            note = f"{_error(event.detail)}; caught, goes to {event.detail['goto']}"
            return _line("error", entry, event, note=note)  # the step is left all the same
        self.open.pop(entry.id, None)
        return _line("failed", entry, event, note=_error(event.detail))

    def _call(self, entry: Entry, event: HistoryEntry) -> Line | None:
        attempt, start = event.detail.get("attempt", 1), event.detail.get("start", 1)
        entry.note = f"attempt {attempt}" if attempt > 1 else ""
        entry.until = None
        return _line("again", entry, event, note="its worker was lost; called again") if start > 1 else None

    def _miss(self, entry: Entry, event: HistoryEntry) -> None:
        entry.missed = _error(event.detail)  # told with what comes of it: a retry, a catch or the step's failure

    def _schedule(self, entry: Entry, event: HistoryEntry) -> Line | None:
        seconds = event.detail.get("afterSeconds")
        if seconds is None:
            return None
        entry.until = event.time + timedelta(seconds=seconds)
        entry.note = f"attempt {event.detail.get('attempt')}"
        return _line("again", entry, event, note=f"{entry.missed}; {entry.note} in {duration(seconds)}")

    def _submit(self, entry: Entry, event: HistoryEntry) -> None:
        entry.note = "waits for a report"


_TELLERS: dict[str, Callable[[Progress, Entry, HistoryEntry], Line | None]] = {
    "StepStarted": Progress._start,
    "StepExited": Progress._leave_to_later_release,
    "StepFailed": Progress._fail,
    "TaskStarted": Progress._call,
    "TaskFailed": Progress._miss,
    "TaskTimedOut": Progress._miss,
    "TaskScheduled": Progress._schedule,
    "TaskSubmitted": Progress._submit,
}


def steps_of(flow: Flow) -> dict[str, Step]:
    """The steps of a flow by name; of several with one name, the first."""
    steps: dict[str, Step] = {}
    for series in flow.series.values():
        for step in series.steps:
            steps.setdefault(step.name, step)
    return steps


def end_of_wait(step: Step | None, input: Any, begin: datetime) -> datetime | None:
    """When the wait of a step is over, as far as its definition and its input tell."""
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


def _line(kind: Kind, entry: Entry, event: HistoryEntry, *, note: str = "") -> Line:
    seconds = (event.time - entry.entered_at) / timedelta(seconds=1)
    return Line(
        kind, event.time, entry.step, entry.type, entry.number, entry.depth, entry.indexes, seconds=seconds, note=note
    )


def _error(detail: dict[str, Any]) -> str:
    error, cause = detail.get("error") or "", detail.get("cause") or ""
    return f"{error}: {cause}" if error and cause else error or cause or "no error is named"
