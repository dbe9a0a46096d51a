"""Checks that every history must pass, and the duration of its waits."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pollflow.fdl import Flow
from pollflow.fdl.expr import Path
from pollflow.fdl.model import Json, WaitStep
from pollflow.store import StoredEvent

_FORKS = ("BranchEntered", "IterationEntered")
_RESULTS = ("TaskSucceeded", "TaskFailed", "TaskTimedOut")
_ENDS = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionStopped", "ExecutionTimedOut")
# The number of starts of a call depends on the faults. A report may arrive before its call returns.
_NONDETERMINISTIC = ("TaskStarted", "TaskSubmitted")


@dataclass(frozen=True, slots=True)
class Waited:
    """An ended wait: its length, the lateness of the next step, and its due time (epoch seconds)."""

    seconds: float
    late: float
    step: str
    due: float


class History:
    """The history of one execution."""

    def __init__(self, events: Sequence[StoredEvent]) -> None:
        self.events = events
        self._next: dict[int, list[StoredEvent]] = defaultdict(list)
        for event in events:
            if event.type not in _FORKS:
                self._next[event.cause].append(event)

    def problems(self) -> Iterator[str]:
        """Return all problems of this history."""
        yield from self._order()
        yield from self._ends()
        for cause, following in self._next.items():
            if len(following) > 1:
                yield f"event {cause} has {len(following)} successors: {[event_line(event) for event in following]}"
        for event in self.events:
            if event.type == "TaskScheduled":
                results = self._results_of(event)
                if len(results) > 1:
                    yield f"the call scheduled by {event_line(event)} has {len(results)} results: {results}"

    def differences(self, other: Sequence[StoredEvent]) -> Iterator[str]:
        """Return the differences to another history, ignoring the order of branches."""
        own, theirs = (
            Counter(map(_comparable, _deterministic(self.events))),
            Counter(map(_comparable, _deterministic(other))),
        )
        for text, count in (own - theirs).items():
            yield f"{count} unexpected: {text}"
        for text, count in (theirs - own).items():
            yield f"{count} missing: {text}"

    def waits(self, flow: Flow) -> Iterator[Waited]:
        """Return the ended waits."""
        steps = (step for series in flow.series.values() for step in series.steps)
        waits = {step.name: step for step in steps if isinstance(step, WaitStep) and step.duration is not None}
        for event in self.events:
            step = waits.get(event.step)
            if event.type != "StepStarted" or step is None or step.duration is None:
                continue
            ended = next((e for e in self._next[event.id] if e.type == "StepSucceeded"), None)
            if ended is not None:
                seconds = _duration(step.duration, event.detail["input"])
                yield Waited(seconds, ended.at - event.at - seconds, event.step, event.at + seconds)

    def starts(self) -> int:
        """Return the number of started calls."""
        return sum(event.type == "TaskStarted" for event in self.events)

    def _order(self) -> Iterator[str]:
        last = 0.0
        for number, event in enumerate(self.events, start=1):
            if event.id != number:
                yield f"event {event.id} is at position {number}"
            if not event.cause < event.id:
                yield f"{event_line(event)} is caused by {event.cause}"
            if event.at < last:
                yield f"{event_line(event)} happened {last - event.at:.6f} s before its predecessor"
            last = event.at

    def _ends(self) -> Iterator[str]:
        types = [event.type for event in self.events]
        if types[:1] != ["ExecutionStarted"] or types.count("ExecutionStarted") != 1:
            yield f"it starts with {types[:1]} and has {types.count('ExecutionStarted')} starts"
        if not types or types[-1] not in _ENDS or sum(map(types.count, _ENDS)) != 1:
            yield f"it ends with {types[-1:]} and has {sum(map(types.count, _ENDS))} ends"

    def _results_of(self, scheduled: StoredEvent) -> list[str]:
        found, event = [], scheduled
        while following := self._next[event.id]:
            event = following[0]
            if event.type in ("TaskScheduled", "StepEntered", "StepExited"):
                break
            if event.type in _RESULTS:
                found.append(event_line(event))
        return found


def event_line(event: StoredEvent) -> str:
    """Return an event as one line."""
    return f"{event.id}<-{event.cause} {event.at:.3f} {event.type} {event.step} {json.dumps(event.detail)[:200]}"


def _deterministic(events: Sequence[StoredEvent]) -> Iterator[StoredEvent]:
    return (event for event in events if event.type not in _NONDETERMINISTIC)


def _comparable(event: StoredEvent) -> str:
    return f"{event.type} {event.step} {json.dumps(_without_own(event.detail), sort_keys=True)}"


def _without_own(value: Json) -> Json:
    """Leave out what differs in each world: task tokens, and tracebacks, which name the file of the function."""
    if not isinstance(value, dict):
        return value
    return {key: "…" if key == "token" else _without_own(inner) for key, inner in value.items() if key != "traceback"}


def _duration(duration: Path | float, input: Json) -> float:
    value = duration.read({"": input}) if isinstance(duration, Path) else duration
    return float(value)  # type: ignore[arg-type]
