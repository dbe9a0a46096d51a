"""Rounds of a loop: a history in which one is like the other is told in a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from pollflow.cli.texts import clean, duration

if TYPE_CHECKING:
    from pollflow.client import HistoryEntry

_LONGEST_LABEL = 40
_STATUS_WORDS = ("status", "state", "phase")


@dataclass(frozen=True, slots=True)
class LoopSummary:
    """Rounds that are like each other: their numbers, their events' ids, and how long one takes."""

    first: int
    last: int
    first_event: int
    last_event: int
    label: str
    period: timedelta

    def __str__(self) -> str:
        told = [self.label] if self.label else []
        seconds = self.period / timedelta(seconds=1)
        told.append(f"every {round(seconds, 1):g} s" if seconds < 60 else f"every {duration(seconds)}")
        return (
            f"rounds {self.first:,}-{self.last:,}: {', '.join(told)}  (events {self.first_event:,}-{self.last_event:,})"
        )


@dataclass(slots=True)
class _Segment:
    """The events from one entering of a loop's first step to the next."""

    number: int
    events: list[HistoryEntry] = field(default_factory=list)
    steps: set[str] = field(default_factory=set)

    def add(self, event: HistoryEntry) -> None:
        self.events.append(event)
        if event.type == "StepEntered":
            self.steps.add(event.step)

    def shape(self) -> tuple[object, ...]:
        """What makes two rounds alike: what happened, and the words in what calls answered. Numbers may differ."""
        return tuple((event.type, event.step, _words(event)) for event in self.events)


def summarized(events: Iterable[HistoryEntry]) -> Iterator[HistoryEntry | LoopSummary]:
    """The events, but for rounds that are like the one before them: those are told together.

    Inside branches and iterations, whose events are mixed, nothing is folded.
    """
    group: list[_Segment] = []
    for segment in _segments(events):
        if group and segment.shape() == group[0].shape():
            # The first and the last of them tell all.
            group = [group[0], segment]
            continue
        yield from _told(group)
        group = [segment]
    yield from _told(group)


def _segments(events: Iterable[HistoryEntry]) -> Iterator[_Segment]:
    segment, inside = _Segment(1), 0
    for event in events:
        inside += event.type in ("BranchEntered", "IterationEntered")
        inside -= event.type in ("BranchExited", "IterationExited")
        if event.type == "StepEntered" and not inside and event.step in segment.steps:
            yield segment
            segment = _Segment(segment.number + 1)
        segment.add(event)
    yield segment


def _told(group: list[_Segment]) -> Iterator[HistoryEntry | LoopSummary]:
    if len(group) < 2:
        for segment in group:
            yield from segment.events
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


def _words(event: HistoryEntry) -> tuple[tuple[str, str], ...]:
    output = event.detail.get("output") if event.type == "TaskSucceeded" else None
    if not isinstance(output, dict):
        return ()
    return tuple(sorted((key, value) for key, value in output.items() if isinstance(value, str)))


def _label(segment: _Segment) -> str:
    """The status that the round's calls answered, if one of their words looks like one."""
    words = [pair for event in segment.events for pair in _words(event)]
    found = [value for key, value in words if any(word in key.lower() for word in _STATUS_WORDS)]
    return clean(", ".join(found))[:_LONGEST_LABEL]
