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


def test_equal_iterations_are_summarized_in_one_line() -> None:
    events = polled(["running"] * 99 + ["success"])
    assert loops(events) == ["loop iterations 2-99: running, every 10 s  (events 28-1,497)"]
    left = [event for event in summarized(events) if not isinstance(event, LoopSummary)]
    assert [event.id for event in left] == [*range(1, 28), *range(1498, len(events) + 1)]


def test_a_changed_status_starts_a_new_summary() -> None:
    events = polled(["queued"] * 5 + ["running"] * 5 + ["success"])
    assert [line.partition("  ")[0] for line in loops(events)] == [
        "loop iterations 2-5: queued, every 10 s",
        "loop iterations 6-10: running, every 10 s",
    ]


def test_a_single_iteration_is_not_summarized() -> None:
    events = polled(["running", "running", "success"])
    assert list(summarized(events)) == events


def test_a_history_without_loops_is_unchanged() -> None:
    events = polled(["success"])
    assert list(summarized(events)) == events


def test_foreach_iterations_are_not_summarized() -> None:
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


def test_the_period_is_the_time_between_two_iterations() -> None:
    (found,) = (event for event in summarized(polled(["running"] * 9 + ["success"])) if isinstance(event, LoopSummary))
    assert found.period == timedelta(seconds=10)
