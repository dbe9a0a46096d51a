"""The lines that `pollflow run` prints for the events of a history."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from rich.console import Console

from pollflow import HistoryEntry
from pollflow.cli.progress import Line, Progress, steps_of
from pollflow.cli.views import done_line, open_lines, plain_line, width_of_names
from pollflow.fdl import read_flow

START_TIME = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
FLOW = """
version: v1
type: flow
steps:
  - {type: task, name: Ask, resourceArn: "acs:fc:::services/s/functions/ask"}
  - {type: wait, name: Wait, duration: $.long}
  - type: choice
    name: Check
    choices:
      - condition: $.done == true
        steps:
          - {type: succeed, name: Done}
    default: {goto: Ask}
  - type: foreach
    name: Each
    iterationMapping: {collection: $.list, item: one}
    steps:
      - {type: pass, name: Inner}
"""

EventTuple = tuple[float, int, str, str, dict[str, Any]]


def progress_of(*recorded: EventTuple) -> tuple[Progress, list[Line]]:
    """Return progress and lines for events of seconds, cause, type, step and detail."""
    progress = Progress(steps_of(read_flow(FLOW)))
    events = [
        HistoryEntry(number, cause, START_TIME + timedelta(seconds=seconds), type, step, detail)
        for number, (seconds, cause, type, step, detail) in enumerate(recorded, start=1)
    ]
    lines = [progress.feed(event) for event in events]
    return progress, [line for line in lines if line is not None]


def plain(lines: list[Line]) -> list[str]:
    return [plain_line(line, START_TIME).strip() for line in lines]


def entered(seconds: float, cause: int, step: str, **input: Any) -> tuple[EventTuple, EventTuple]:
    """Return the two events of entering a step. `cause` is the id of the event that caused the first one."""
    detail = {"input": input}
    return (seconds, cause, "StepEntered", step, detail), (seconds, cause + 1, "StepStarted", step, detail)


START: EventTuple = (0, 0, "ExecutionStarted", "", {})


def test_a_step_has_a_line_when_entered_and_when_left() -> None:
    progress, lines = progress_of(
        START,
        *entered(0, 1, "Ask"),
        (0, 3, "TaskScheduled", "Ask", {"attempt": 1}),
        (0.1, 4, "TaskStarted", "Ask", {"attempt": 1, "start": 1}),
        (0.25, 5, "TaskSucceeded", "Ask", {}),
        (0.25, 6, "StepSucceeded", "Ask", {}),
        (0.25, 7, "StepExited", "Ask", {}),
        *entered(0.25, 8, "Wait", long=90),
    )
    assert plain(lines) == [
        "+0.00s  entered Ask (task) visit 1",
        "+0.25s  left    Ask (task) visit 1 after 0.25 s",
        "+0.25s  entered Wait (wait) waits 1 min 30 s",
    ]
    (visit,) = progress.open.values()
    assert (visit.step, visit.until) == ("Wait", START_TIME + timedelta(seconds=90.25))


def test_the_visits_of_a_step_are_counted() -> None:
    _, lines = progress_of(
        START,
        *entered(0, 1, "Ask"),
        (1, 3, "StepExited", "Ask", {}),
        *entered(1, 4, "Check"),
        (2, 6, "StepExited", "Check", {}),
        *entered(2, 7, "Ask"),
        (3, 9, "StepExited", "Ask", {}),
        *entered(3, 10, "Check"),
    )
    assert [(line.step, line.number) for line in lines if line.kind == "entered"] == [
        ("Ask", 1),
        ("Check", 1),
        ("Ask", 2),
        ("Check", 2),
    ]


def test_a_failed_call_and_its_retry_have_one_line() -> None:
    progress, lines = progress_of(
        START,
        *entered(0, 1, "Ask"),
        (0, 3, "TaskStarted", "Ask", {"attempt": 1, "start": 1}),
        (1, 4, "TaskFailed", "Ask", {"error": "Busy", "cause": "later\x1b[2J\nplease", "attempt": 1}),
        (1, 5, "TaskScheduled", "Ask", {"attempt": 2, "afterSeconds": 3}),
    )
    assert plain(lines)[1:] == [
        "+1.00s  retry   Ask (task) visit 1 Busy: later\\x1b[2J please; attempt 2 in 3.00 s",
    ]
    (visit,) = progress.open.values()
    assert (visit.note, visit.until) == ("attempt 2", START_TIME + timedelta(seconds=4))


def test_a_call_that_is_repeated_after_a_crash_has_a_line() -> None:
    _, lines = progress_of(
        START,
        *entered(0, 1, "Ask"),
        (0, 3, "TaskStarted", "Ask", {"attempt": 1, "start": 1}),
        (5, 4, "TaskStarted", "Ask", {"attempt": 1, "start": 2}),
    )
    assert plain(lines)[1:] == ["+5.00s  retry   Ask (task) visit 1 its worker ended; called again"]


def test_a_failure_fails_the_enclosing_steps_unless_caught() -> None:
    detail = {"error": "E", "cause": "c"}
    failed = (1, 3, "TaskFailed", "Ask", {**detail, "attempt": 1})
    caught = (1, 4, "StepFailed", "Ask", {**detail, "goto": "Check"})
    _, lines = progress_of(START, *entered(0, 1, "Ask"), failed, caught, (1, 5, "StepExited", "Ask", {}))
    assert plain(lines)[1:] == [
        "+1.00s  error   Ask (task) visit 1 E: c; caught, goes to Check",
        "+1.00s  left    Ask (task) visit 1 after 1.00 s",
    ]
    progress, lines = progress_of(
        START,
        *entered(0, 1, "Check"),
        *entered(0, 3, "Done"),
        (1, 5, "StepFailed", "Done", detail),
        (1, 6, "StepFailed", "Check", detail),
        (1, 7, "ExecutionFailed", "", detail),
    )
    assert plain(lines)[2:] == [
        "+1.00s  failed    Done (succeed) after 1.00 s E: c",
        "+1.00s  failed  Check (choice) after 1.00 s E: c",
    ]
    assert (progress.ended, progress.open) == ("Failed", {})


def test_a_cause_that_begins_with_the_error_name_is_printed_once() -> None:
    detail = {"error": "KeyError", "cause": "KeyError: 'missing'"}
    failed = (1, 3, "TaskFailed", "Ask", {**detail, "attempt": 1})
    _, lines = progress_of(START, *entered(0, 1, "Ask"), failed, (1, 4, "StepFailed", "Ask", detail))
    assert plain(lines)[1:] == ["+1.00s  failed  Ask (task) visit 1 after 1.00 s KeyError: 'missing'"]


def test_a_failure_without_retry_has_one_line() -> None:
    detail = {"error": "E", "cause": "c"}
    _, lines = progress_of(
        START,
        *entered(0, 1, "Ask"),
        (1, 3, "TaskTimedOut", "Ask", {**detail, "attempt": 1}),
        (1, 4, "StepFailed", "Ask", detail),
    )
    assert plain(lines)[1:] == ["+1.00s  failed  Ask (task) visit 1 after 1.00 s E: c"]


def test_parallel_iterations_have_indexes_and_separate_visits() -> None:
    _, lines = progress_of(
        START,
        *entered(0, 1, "Each"),
        (0, 3, "IterationEntered", "Each", {"index": 0}),
        *entered(0, 4, "Inner"),
        (0, 3, "IterationEntered", "Each", {"index": 1}),
        *entered(1, 7, "Inner"),
        (3, 6, "StepExited", "Inner", {}),
        (3, 10, "IterationExited", "Each", {"index": 0}),
        (5, 9, "StepExited", "Inner", {}),
        (5, 12, "IterationExited", "Each", {"index": 1}),
        (5, 13, "StepExited", "Each", {}),
    )
    assert [line.split("  ", 1)[1] for line in plain(lines) if " left " in line] == [
        "left      Inner[0] (pass) after 3.00 s",
        "left      Inner[1] (pass) after 4.00 s",
        "left    Each (foreach) after 5.00 s",
    ]


def test_step_names_have_space_for_indents_and_indexes() -> None:
    width = width_of_names(read_flow(FLOW))
    _, lines = progress_of(
        START,
        *entered(0, 1, "Each"),
        (0, 3, "IterationEntered", "Each", {"index": 12}),
        *entered(0, 4, "Inner"),
        (0, 6, "StepExited", "Inner", {}),
    )
    assert done_line(lines[-1], width).plain.startswith(" ✓   Inner[12]  pass ")
    assert done_line(lines[-1], 8).plain.startswith(" ✓   I…[12]  pass ")
    map_step = "steps: [{type: parallel, name: P, branches: [{steps: [{type: pass, name: Long name of a step}]}]}]"
    assert width_of_names(read_flow(f"version: v1\ntype: flow\n{map_step}\n")) == len("  Long name of a step[0]") + 1


def test_an_open_wait_is_drawn_with_its_remaining_time() -> None:
    progress, _ = progress_of(START, *entered(0, 1, "Wait", long=10))
    assert drawn(progress, 4) == " * Wait  wait                        6 s  ━━━━━━━━━━━━━━━━━━━━━━━━"
    assert drawn(progress, 12).split()[3] == "due"


def test_only_the_newest_open_visits_are_drawn() -> None:
    iterations = [
        event
        for index in range(50)
        for event in ((0, 3, "IterationEntered", "Each", {"index": index}), *entered(0, 4 + 3 * index, "Inner"))
    ]
    progress, _ = progress_of(START, *entered(0, 1, "Each"), *iterations)
    lines = drawn(progress, 1).splitlines()
    assert len(lines) == 7
    assert lines[-1].strip() == "and 45 more"


def test_an_exited_step_has_a_line() -> None:
    _, (_, left) = progress_of(START, *entered(0, 1, "Ask"), (1.5, 3, "StepExited", "Ask", {}))
    assert done_line(left, 8).plain == " ✓ Ask       task      visit 1        1.50 s"


def drawn(progress: Progress, seconds: float) -> str:
    console = Console(width=100, no_color=True)
    with console.capture() as capture:
        console.print(open_lines(progress, START_TIME + timedelta(seconds=seconds), 4, "*"))
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())
