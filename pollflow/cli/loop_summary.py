"""Summarize repeated iterations of a loop in one line of a history.

Only a pure repetition is summarized: the same events with the same outcomes. An iteration with a failed attempt, a
retry, a timeout, a crash or any other unusual event is never part of a summary.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeGuard

from pollflow.cli.texts import duration
from pollflow.fdl import ChoiceStep, Flow, Step, WaitStep, parse_moment
from pollflow.fdl.expr import MISSING, Path, paths_in
from pollflow.printable import clean

if TYPE_CHECKING:
    from pollflow.client import HistoryEntry

_MAX_LABEL = 40
_STATUS_WORDS = ("status", "state", "phase")
_ROUTINE = frozenset(
    (
        "StepEntered",
        "StepStarted",
        "StepSucceeded",
        "StepExited",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "BranchEntered",
        "BranchExited",
        "IterationEntered",
        "IterationExited",
    )
)
"""The events of an iteration in which everything succeeds at once. Any other event is always shown."""

Reads = Mapping[str, tuple[Path, ...]]
"""The paths by which a flow decides, by the name of the step that reads them from its input."""


@dataclass(frozen=True, slots=True)
class LoopSummary:
    """Consecutive equal iterations of a loop: their numbers, the ids of their events, and the time of one.

    `counters` are the numbers that the flow decides by, if they grow by the same amount in each iteration.
    """

    first: int
    last: int
    first_event: int
    last_event: int
    label: str
    period: timedelta
    counters: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [self.label] if self.label else []
        seconds = self.period / timedelta(seconds=1)
        parts += self.counters
        parts.append(f"every {round(seconds, 1):g} s" if seconds < 60 else f"every {duration(seconds)}")
        events = f"(events {self.first_event:,}-{self.last_event:,})"
        return f"loop iterations {self.first:,}-{self.last:,}: {', '.join(parts)}  {events}"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What happened in an iteration. Equal iterations have the same `facts`; their `numbers` may grow evenly."""

    facts: tuple[object, ...]
    numbers: tuple[tuple[str, float], ...]


@dataclass(slots=True)
class _Iteration:
    """The events from one visit of a loop's first step to the next."""

    number: int
    events: list[HistoryEntry] = field(default_factory=list)
    steps: set[str] = field(default_factory=set)

    def add(self, event: HistoryEntry) -> None:
        self.events.append(event)
        if event.type == "StepEntered":
            self.steps.add(event.step)

    def outcome(self, reads: Reads | None) -> _Outcome | None:
        """Return the outcome; None if the iteration has an event that is always shown."""
        facts: list[object] = []
        numbers: list[tuple[str, float]] = []
        for event in self.events:
            if not _is_routine(event):
                return None
            facts.append((event.type, event.step))
            if event.type == "TaskSucceeded":
                output = event.detail.get("output")
                facts.append(_text(output if reads is None else _without_numbers(output)))
            elif event.type == "StepStarted":
                for path in (reads or {}).get(event.step, ()):
                    value = path.read({"": event.detail.get("input")})
                    if _is_number(value):
                        numbers.append((path.text.removeprefix("$."), value))
                    else:
                        facts.append(_text(value))
        return _Outcome(tuple(facts), tuple(numbers))


@dataclass(slots=True)
class _Group:
    """Consecutive equal iterations. A summary needs only the first and the last one."""

    first: _Iteration
    last: _Iteration
    begin: _Outcome | None
    end: _Outcome | None
    growth: tuple[float, ...] | None = None

    def extend(self, iteration: _Iteration, outcome: _Outcome | None) -> bool:
        """Add an iteration. Return False if it differs from those of the group."""
        if outcome is None or self.end is None or outcome.facts != self.end.facts:
            return False
        if len(outcome.numbers) != len(self.end.numbers):
            return False
        growth = tuple(new - old for (_, new), (_, old) in zip(outcome.numbers, self.end.numbers, strict=True))
        if self.growth is not None and growth != self.growth:
            return False
        self.last, self.end, self.growth = iteration, outcome, growth
        return True

    def shown(self) -> Iterator[HistoryEntry | LoopSummary]:
        """Return the summary, or the events of a single iteration."""
        first, last = self.first, self.last
        if first is last:
            yield from first.events
            return
        yield LoopSummary(
            first=first.number,
            last=last.number,
            first_event=first.events[0].id,
            last_event=last.events[-1].id,
            label=_label(last),
            period=(last.events[0].time - first.events[0].time) / (last.number - first.number),
            counters=self._counters(),
        )

    def _counters(self) -> tuple[str, ...]:
        if self.begin is None or self.end is None:
            return ()
        pairs = zip(self.begin.numbers, self.end.numbers, strict=True)
        texts = (f"{clean(name)} {first} to {last}" for (name, first), (_, last) in pairs if first != last)
        return tuple(dict.fromkeys(texts))


def summarized(events: Iterable[HistoryEntry], flow: Flow | None) -> Iterator[HistoryEntry | LoopSummary]:
    """Return the events, with a summary in place of two or more consecutive equal iterations.

    Iterations are equal if all their events are routine, the outputs of their calls differ at most in numbers and
    times, and the values by which the flow decides are the same or grow evenly. Without the flow, the outputs must be
    the same. Events inside branches and foreach iterations are mixed, so these are not summarized.
    """
    reads = None if flow is None else deciding_reads(flow)
    group: _Group | None = None
    for iteration in _iterations(events):
        outcome = iteration.outcome(reads)
        if group is not None:
            if group.extend(iteration, outcome):
                continue
            yield from group.shown()
        group = _Group(iteration, iteration, outcome, outcome)
    if group is not None:
        yield from group.shown()


def deciding_reads(flow: Flow) -> Reads:
    """Return the paths in conditions and durations, by step name. Steps of one name share them."""
    found: dict[str, tuple[Path, ...]] = {}
    for series in flow.series.values():
        for step in series.steps:
            paths = tuple(_deciding_paths(step))
            if paths:
                found[step.name] = tuple(dict.fromkeys((*found.get(step.name, ()), *paths)))
    return found


def _deciding_paths(step: Step) -> Iterator[Path]:
    if isinstance(step, ChoiceStep):
        for option in step.choices:
            if option.condition is not None:
                yield from paths_in(option.condition.tree)
    elif isinstance(step, WaitStep) and isinstance(step.duration, Path):
        yield step.duration


def _iterations(events: Iterable[HistoryEntry]) -> Iterator[_Iteration]:
    iteration, depth = _Iteration(1), 0
    for event in events:
        depth += event.type in ("BranchEntered", "IterationEntered")
        depth -= event.type in ("BranchExited", "IterationExited")
        if event.type == "StepEntered" and not depth and event.step in iteration.steps:
            yield iteration
            iteration = _Iteration(iteration.number + 1)
        iteration.add(event)
    yield iteration


def _is_routine(event: HistoryEntry) -> bool:
    """Return whether the event is one of a first attempt without a failure, and nobody outside the flow caused it."""
    repeated = event.detail.get("attempt", 1) != 1 or event.detail.get("start", 1) != 1
    return event.type in _ROUTINE and not repeated and not event.by and not event.reason


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _without_numbers(value: Any) -> Any:
    """Return the value with 0 in place of each number and each time."""
    if isinstance(value, dict):
        return {key: _without_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_numbers(inner) for inner in value]
    if isinstance(value, str):
        return value if parse_moment(value) is None else 0
    return 0 if _is_number(value) else value


def _text(value: Any) -> str:
    """Return a text that differs for different values: in Python, 1, 1.0 and True are equal."""
    return "missing" if value is MISSING else json.dumps(value, sort_keys=True)


def _label(iteration: _Iteration) -> str:
    """Return the values of the fields in the outputs of the calls that look like a status."""
    outputs = [event.detail.get("output") for event in iteration.events if event.type == "TaskSucceeded"]
    found = [
        value
        for output in outputs
        if isinstance(output, dict)
        for key, value in sorted(output.items())
        if isinstance(value, str) and any(word in key.lower() for word in _STATUS_WORDS)
    ]
    return clean(", ".join(found))[:_MAX_LABEL]
