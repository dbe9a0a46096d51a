"""Summarize equal iterations of a loop in one line of a history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from pollflow.cli.texts import clean, duration

if TYPE_CHECKING:
    from pollflow.client import HistoryEntry

_MAX_LABEL = 40
_STATUS_WORDS = ("status", "state", "phase")


@dataclass(frozen=True, slots=True)
class LoopSummary:
    """Consecutive equal iterations of a loop: their numbers, the ids of their events, and the time of one."""

    first: int
    last: int
    first_event: int
    last_event: int
    label: str
    period: timedelta

    def __str__(self) -> str:
        parts = [self.label] if self.label else []
        seconds = self.period / timedelta(seconds=1)
        parts.append(f"every {round(seconds, 1):g} s" if seconds < 60 else f"every {duration(seconds)}")
        events = f"(events {self.first_event:,}-{self.last_event:,})"
        return f"loop iterations {self.first:,}-{self.last:,}: {', '.join(parts)}  {events}"


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

    def shape(self) -> tuple[object, ...]:
        """Return what equal iterations have in common: event types, steps and the strings in outputs, not numbers."""
        return tuple((event.type, event.step, _strings(event)) for event in self.events)


def summarized(events: Iterable[HistoryEntry]) -> Iterator[HistoryEntry | LoopSummary]:
    """Return the events, with a summary in place of two or more consecutive equal iterations.

    Events inside branches and foreach iterations are mixed, so they are not summarized.
    """
    group: list[_Iteration] = []
    for iteration in _iterations(events):
        if group and iteration.shape() == group[0].shape():
            group = [group[0], iteration]  # a summary needs the first and the last only
            continue
        yield from _summary(group)
        group = [iteration]
    yield from _summary(group)


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


def _summary(group: list[_Iteration]) -> Iterator[HistoryEntry | LoopSummary]:
    if len(group) < 2:
        for iteration in group:
            yield from iteration.events
        return
    first, last = group
    yield LoopSummary(
        first=first.number,
        last=last.number,
        first_event=first.events[0].id,
        last_event=last.events[-1].id,
        label=_label(last),
        period=(last.events[0].time - first.events[0].time) / (last.number - first.number),
    )


def _strings(event: HistoryEntry) -> tuple[tuple[str, str], ...]:
    output = event.detail.get("output") if event.type == "TaskSucceeded" else None
    if not isinstance(output, dict):
        return ()
    return tuple(sorted((key, value) for key, value in output.items() if isinstance(value, str)))


def _label(iteration: _Iteration) -> str:
    """Return the values of the fields in the outputs of the calls that look like a status."""
    pairs = [pair for event in iteration.events for pair in _strings(event)]
    found = [value for key, value in pairs if any(word in key.lower() for word in _STATUS_WORDS)]
    return clean(", ".join(found))[:_MAX_LABEL]
