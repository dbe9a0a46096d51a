from __future__ import annotations

from datetime import timedelta
from typing import Any

from pollflow.cli.loop_summary import LoopSummary, summarized
from pollflow.client import HistoryEntry, entry_of
from pollflow.fdl import read_flow
from pollflow.testing import Reply, VirtualRun
from tests.workers import PROJECT

POLLING = (
    (PROJECT / "flows" / "task_polling.yaml")
    .read_text()
    .replace("> 3", "> 100000")
    .replace('== "running"', '!= "success"')
)


def history(text: str, answers: dict[str, Any], input: dict[str, Any] | None = None) -> list[HistoryEntry]:
    return [entry_of(event) for event in VirtualRun(read_flow(text), input, functions=answers).run().history]


def polled(statuses: list[str]) -> list[HistoryEntry]:
    replies = [Reply({"job_id": "J", "job_status": status, "try_count": n}) for n, status in enumerate(statuses)]
    return history(POLLING, {"StartJob": [Reply({"job_id": "J"})], "GetJobStatus": replies})


def loops(events: list[HistoryEntry]) -> list[str]:
    return [str(event) for event in summarized(events) if isinstance(event, LoopSummary)]


def test_equal_rounds_are_told_in_one_line() -> None:
    events = polled(["running"] * 99 + ["success"])
    assert loops(events) == ["rounds 2-99: running, every 10 s  (events 28-1,497)"]
    left = [event for event in summarized(events) if not isinstance(event, LoopSummary)]
    assert [event.id for event in left] == [*range(1, 28), *range(1498, len(events) + 1)]


def test_a_status_that_changes_begins_anew() -> None:
    events = polled(["queued"] * 5 + ["running"] * 5 + ["success"])
    assert [line.partition("  ")[0] for line in loops(events)] == [
        "rounds 2-5: queued, every 10 s",
        "rounds 6-10: running, every 10 s",
    ]


def test_a_single_round_is_told_as_it_is() -> None:
    events = polled(["running", "running", "success"])
    assert list(summarized(events)) == events


def test_what_has_no_rounds_is_told_as_it_is() -> None:
    events = polled(["success"])
    assert list(summarized(events)) == events


def test_iterations_are_not_taken_for_rounds() -> None:
    each = """
version: v1
type: flow
steps:
  - type: foreach
    name: Each
    iterationMapping: {collection: $.items, item: item}
    steps: [{type: pass, name: Look}]
"""
    events = history(each, {}, {"items": [1, 2, 3, 4]})
    assert list(summarized(events)) == events


def test_the_period_is_from_one_round_to_the_next() -> None:
    (found,) = (event for event in summarized(polled(["running"] * 9 + ["success"])) if isinstance(event, LoopSummary))
    assert found.period == timedelta(seconds=10)
