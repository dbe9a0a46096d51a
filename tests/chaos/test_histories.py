"""The checks of the chaos harness find modified histories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pollflow.store import StoredEvent
from tests.chaos.expected import expected, flows
from tests.chaos.histories import History
from tests.chaos.plan import Planned

PLANNED = Planned("chaos-polling", "e0", {"salt": "42-0", "wait": 2, "done_at": 3}, None)
FOREACH = Planned("chaos-foreach", "e1", {"salt": "42-1", "items": [1, 2, 3, 4]}, None)

Events = list[StoredEvent]


def events_of(planned: Planned = PLANNED) -> Events:
    return list(expected(planned)[0].history)


def index_of(events: Events, type: str) -> int:
    return next(index for index, event in enumerate(events) if event.type == type)


def renumbered(events: Sequence[StoredEvent]) -> Events:
    return [replace(event, id=number) for number, event in enumerate(events, start=1)]


@pytest.mark.parametrize("planned", [PLANNED, FOREACH])
def test_a_history_of_the_machine_passes_the_check(planned: Planned) -> None:
    events = events_of(planned)
    assert list(History(events).problems()) == []
    assert list(History(events).differences(events)) == []


def gap(events: Events) -> Events:
    return events[:9] + events[10:]


def back_in_time(events: Events) -> Events:
    return [*events[:9], replace(events[9], at=events[9].at - 10), *events[10:]]


def effect_before_cause(events: Events) -> Events:
    return [*events[:9], replace(events[9], cause=20), *events[10:]]


def transition_twice(events: Events) -> Events:
    index = index_of(events, "StepExited")
    return renumbered([*events[: index + 1], *events[index : index + 1], *events[index + 1 :]])


def result_twice(events: Events) -> Events:
    index = index_of(events, "TaskSucceeded")
    again = replace(events[index], cause=index + 1)
    return renumbered([*events[: index + 1], again, *events[index + 1 :]])


def two_ends(events: Events) -> Events:
    return renumbered([*events, replace(events[-1], cause=len(events))])


def no_end(events: Events) -> Events:
    return events[:-1]


@pytest.mark.parametrize(
    "tamper", [gap, back_in_time, effect_before_cause, transition_twice, result_twice, two_ends, no_end]
)
def test_a_modified_history_is_reported(tamper: Callable[[Events], Events]) -> None:
    assert list(History(tamper(events_of())).problems())


def test_a_different_result_is_reported() -> None:
    events = events_of()
    index = index_of(events, "TaskSucceeded")
    other = replace(events[index], detail={"output": {"job": "another"}})
    assert len(list(History([*events[:index], other, *events[index + 1 :]]).differences(events))) == 2


def test_the_number_of_starts_of_a_call_is_ignored() -> None:
    events = events_of()
    index = index_of(events, "TaskStarted")
    assert list(History([*events[:index], *events[index + 1 :]]).differences(events)) == []


def test_a_wait_that_ends_early_has_a_negative_lateness() -> None:
    events = events_of()
    flow = flows()["chaos-polling"]
    assert [(waited.seconds, waited.late) for waited in History(events).waits(flow)][:1] == [(2, 0)]
    index = next(i for i, event in enumerate(events) if event.type == "StepSucceeded" and event.step == "Wait")
    early = [*events[:index], replace(events[index], at=events[index].at - 0.5), *events[index + 1 :]]
    assert min(waited.late for waited in History(early).waits(flow)) == -0.5
