from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollflow.cli.executions import lines_of
from pollflow.cli.loop_summary import LoopSummary, summarized
from pollflow.client import HistoryEntry, entry_of
from pollflow.errors import TaskError
from pollflow.fdl import Flow, read_flow
from pollflow.testing import Reply, VirtualRun
from tests.workers import PROJECT

POLLING = (
    (PROJECT / "flows" / "task_polling.yaml")
    .read_text()
    .replace("> 3", "> 100000")
    .replace('== "running"', '!= "success"')
)
CATCHING = """
version: v1
type: flow
steps:
  - type: task
    name: Ask
    resourceArn: ask
    timeoutSeconds: 5
    retry: [{errors: [Busy, FnF.TaskTimeout], maxAttempts: 2}]
    catch: [{errors: [NotReady], goto: Pause}]
  - type: choice
    name: Look
    choices: [{condition: $.done == true || $.progress >= 100, goto: Done}]
  - {type: wait, name: Pause, duration: 10}
  - {type: choice, name: Again, default: {goto: Ask}}
  - {type: succeed, name: Done}
"""
"""`done` and `progress` decide; the other fields of the answer do not."""


def history(text: str, answers: dict[str, Any], input: dict[str, Any] | None = None) -> list[HistoryEntry]:
    return [entry_of(event) for event in VirtualRun(read_flow(text), input, functions=answers).run().history]


def polled(statuses: list[str]) -> list[HistoryEntry]:
    replies = [Reply({"job_id": "J", "job_status": status, "try_count": n}) for n, status in enumerate(statuses)]
    return history(POLLING, {"StartJob": [Reply({"job_id": "J"})], "GetJobStatus": replies})


def asked(*replies: Any) -> list[HistoryEntry]:
    """Return the history of CATCHING with these answers, each an output or a reply."""
    scripted = [Reply(reply) if isinstance(reply, dict) else reply for reply in replies]
    return history(CATCHING, {"ask": [*scripted, Reply({"done": True})]})


def loops(events: list[HistoryEntry], text: str = POLLING) -> list[str]:
    return [str(event) for event in summarized(events, read_flow(text)) if isinstance(event, LoopSummary)]


def folded(events: list[HistoryEntry], flow: Flow | None) -> set[int]:
    """Return the ids of the events that have no line of their own."""
    return {event.id for event in events} - {
        event.id for event in summarized(events, flow) if isinstance(event, HistoryEntry)
    }


def test_equal_iterations_are_summarized_in_one_line() -> None:
    events = polled(["running"] * 99 + ["success"])
    assert loops(events) == ["loop iterations 2-99: running, try_count 1 to 98, every 10 s  (events 28-1,497)"]
    assert folded(events, read_flow(POLLING)) == set(range(28, 1498))


def test_a_changed_status_starts_a_new_summary() -> None:
    events = polled(["queued"] * 5 + ["running"] * 5 + ["success"])
    assert [line.partition("  ")[0] for line in loops(events)] == [
        "loop iterations 2-5: queued, try_count 1 to 4, every 10 s",
        "loop iterations 6-10: running, try_count 5 to 9, every 10 s",
    ]


BUSY = Reply(raises=TaskError("Busy", "try later"))
NOT_READY = Reply(raises=TaskError("NotReady"))


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([BUSY, {"done": False}], id="a failed attempt and its retry"),
        pytest.param([Reply({"done": False}, takes=6), {"done": False}], id="a timeout"),
        pytest.param([Reply(lost=True), {"done": False}], id="a worker that dies"),
        pytest.param([NOT_READY], id="a caught error"),
        pytest.param([BUSY, BUSY, NOT_READY], id="retries and a caught error"),
    ],
)
def test_equal_iterations_with_a_failure_are_shown_in_full(answers: list[Any]) -> None:
    quiet = [{"done": False}] * 4
    events = asked(*quiet, *answers * 5, *quiet)
    kept = [event for event in summarized(events, read_flow(CATCHING)) if isinstance(event, HistoryEntry)]
    for type in ("TaskFailed", "TaskTimedOut", "StepFailed"):
        assert [event for event in kept if event.type == type] == [event for event in events if event.type == type]
    assert len(loops(events, CATCHING)) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"done": False}, {"done": None}, id="a boolean that a choice reads"),
        pytest.param({"done": 0}, {"done": "0"}, id="another type"),
        pytest.param({"note": "a"}, {"note": "b"}, id="a text that no choice reads"),
        pytest.param({"ok": True}, {"ok": False}, id="a boolean that no choice reads"),
        pytest.param({"parts": ["a"]}, {"parts": ["a", "b"]}, id="the length of a list"),
        pytest.param({"a": {"state": "x"}}, {"a": {"state": "y"}}, id="a nested text"),
        pytest.param({"a": 1}, {"b": 1}, id="another key"),
    ],
)
def test_a_changed_answer_starts_a_new_summary(first: dict[str, Any], second: dict[str, Any]) -> None:
    events = asked(*[first] * 3, *[second] * 3)
    # The first visit of the loop includes the start of the execution.
    assert [line.partition(":")[0] for line in loops(events, CATCHING)] == [
        "loop iterations 2-3",
        "loop iterations 4-6",
    ]


def test_numbers_and_times_that_no_choice_reads_do_not_matter() -> None:
    answers = [{"took": n * n, "at": f"2026-01-01T00:00:{n:02}Z", "sizes": [n]} for n in range(10)]
    assert [line.partition(":")[0] for line in loops(asked(*answers), CATCHING)] == ["loop iterations 2-10"]


def test_a_number_that_a_choice_reads_is_shown_with_its_growth() -> None:
    answers = [{"progress": n} for n in (0, 10, 20, 30, 37, 41, 41, 41)]
    assert [line.partition("every")[0] for line in loops(asked(*answers), CATCHING)] == [
        "loop iterations 2-4: progress 10 to 30, ",
        "loop iterations 5-6: progress 37 to 41, ",
        "loop iterations 7-8: ",
    ]


def test_without_the_definition_only_identical_answers_are_summarized() -> None:
    events = asked({"took": 1}, {"took": 2}, {"took": 2}, {"took": 2}, {"took": 3})
    found = [str(event) for event in summarized(events, None) if isinstance(event, LoopSummary)]
    assert [line.partition(":")[0] for line in found] == ["loop iterations 2-4"]


def test_a_single_iteration_is_not_summarized() -> None:
    events = polled(["running", "running", "success"])
    assert list(summarized(events, read_flow(POLLING))) == events


def test_a_history_without_loops_is_unchanged() -> None:
    events = polled(["success"])
    assert list(summarized(events, read_flow(POLLING))) == events


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
    assert list(summarized(events, read_flow(each))) == events


def test_the_period_is_the_time_between_two_iterations() -> None:
    events = polled(["running"] * 9 + ["success"])
    (found,) = (event for event in summarized(events, read_flow(POLLING)) if isinstance(event, LoopSummary))
    assert found.period == timedelta(seconds=10)


# Random histories of CATCHING: rounds with answers, failures and events that the module does not know.
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "done": st.sampled_from([False, None, 0]),
        "progress": st.sampled_from([0, 1, 2, 10]),
        "note": st.sampled_from(["a", "b", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]),
        "took": st.integers(0, 3),
    },
)
ODD = st.sampled_from(
    [
        ("TaskFailed", {"error": "Busy", "cause": "", "attempt": 1}),
        ("TaskTimedOut", {"error": "FnF.TaskTimeout", "cause": "", "attempt": 1}),
        ("TaskScheduled", {"attempt": 2, "afterSeconds": 1}),
        ("TaskStarted", {"attempt": 1, "start": 2}),
        ("StepFailed", {"error": "NotReady", "cause": "", "goto": "Pause"}),
        ("SomethingNew", {}),
    ]
)


@st.composite
def rounds(draw: st.DrawFn) -> list[tuple[str, str, dict[str, Any]]]:
    answer = draw(ANSWERS)
    odd = draw(st.lists(ODD, max_size=1)) if draw(st.integers(0, 3)) == 0 else []
    events = [
        ("StepEntered", "Ask", {}),
        ("TaskScheduled", "Ask", {"attempt": 1}),
        ("TaskStarted", "Ask", {"attempt": 1, "start": 1}),
        *((type, "Ask", detail) for type, detail in odd),
        ("TaskSucceeded", "Ask", {"output": answer}),
        ("StepEntered", "Look", {}),
        ("StepStarted", "Look", {"input": answer}),
    ]
    return events * draw(st.integers(1, 4))


@given(st.lists(rounds(), max_size=12), st.booleans())
def test_every_event_that_is_not_of_a_pure_repetition_has_its_line(
    parts: list[list[tuple[str, str, dict[str, Any]]]], is_known: bool
) -> None:
    begin = datetime(2026, 1, 1, tzinfo=timezone.utc)
    raw = [("ExecutionStarted", "", {}), *(event for part in parts for event in part), ("ExecutionSucceeded", "", {})]
    events = [
        HistoryEntry(n, n - 1, begin + timedelta(seconds=n), type, step, detail)
        for n, (type, step, detail) in enumerate(raw, start=1)
    ]
    flow = read_flow(CATCHING) if is_known else None
    shown = list(summarized(events, flow))
    covered: list[int] = []
    for item in shown:
        covered += range(item.first_event, item.last_event + 1) if isinstance(item, LoopSummary) else [item.id]
    assert covered == [event.id for event in events]
    for summary in shown:
        if isinstance(summary, LoopSummary):
            check_repetition(events[summary.first_event - 1 : summary.last_event], summary, is_known=is_known)
    lines = list(lines_of(shown))
    numbers = [int(line.split()[0]) for line in lines if line.split()[0].isdigit()]
    assert numbers == [event.id for event in events if event.id not in folded(events, flow)]


def check_repetition(events: list[HistoryEntry], summary: LoopSummary, *, is_known: bool) -> None:
    """Check by other means than the module that these events are equal rounds without a failure."""
    count = summary.last - summary.first + 1
    size = len(events) // count
    assert len(events) == count * size
    split = [events[start : start + size] for start in range(0, len(events), size)]
    kinds = [[(event.type, event.step) for event in part] for part in split]
    assert kinds == [kinds[0]] * count
    odd = {"TaskFailed", "TaskTimedOut", "StepFailed", "SomethingNew", "ExecutionStarted", "ExecutionSucceeded"}
    assert not {event.type for event in events} & odd
    assert all(event.detail.get("attempt", 1) == event.detail.get("start", 1) == 1 for event in events)
    answers = [event.detail["output"] for event in events if event.type == "TaskSucceeded"]
    decided = [
        (repr(answer.get("done", "-")), repr(answer.get("note", "-"))[:5], sorted(answer), answer.get("progress"))
        for answer in answers
    ]
    assert all(one[:3] == decided[0][:3] for one in decided)
    if not is_known:
        assert all(answer == answers[0] for answer in answers)
        return
    progress = [answer.get("progress") for answer in answers]
    if progress[0] != progress[-1]:
        assert f"progress {progress[0]} to {progress[-1]}" in str(summary)
        assert len({new - old for old, new in pairwise(progress)}) == 1
    else:
        assert len(set(progress)) == 1
