"""Tracebacks of failed calls: `history` prints them with `--full` only, `show --traceback` the last one."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from pollflow.cli.executions import lines_of
from pollflow.cli.tracebacks import failure_lines, last_failure
from pollflow.client import HistoryEntry

FRAMES = ["tasks/jobs.py:12 in start", "tasks/api.py:40 in post\x1b"]


def event(id: int, type: str, **detail: Any) -> HistoryEntry:
    return HistoryEntry(id, id - 1, datetime(2026, 1, 2, tzinfo=timezone.utc), type, "Start", detail)


EVENTS = [
    event(1, "TaskStarted", attempt=1),
    event(2, "TaskFailed", error="OSError", cause="no", attempt=1, traceback=["tasks/old.py:1 in old"]),
    event(3, "TaskFailed", error="KeyError", cause="KeyError: 'missing'", attempt=2, traceback=FRAMES),
    event(4, "TaskTimedOut", error="FnF.TaskTimeout", cause="late", attempt=3),
]


def test_a_history_prints_tracebacks_only_in_full() -> None:
    assert "tasks/" not in "\n".join(lines_of(EVENTS))
    full = [line.strip() for line in lines_of(EVENTS, full=True)]
    assert [line for line in full if line.startswith("tasks/")] == [
        "tasks/old.py:1 in old",
        "tasks/jobs.py:12 in start",
        "tasks/api.py:40 in post\\x1b",
    ]


def test_the_last_traceback_is_shown_with_its_error() -> None:
    assert list(failure_lines(last_failure(EVENTS))) == [
        "traceback of Start, attempt 2",
        "  tasks/jobs.py:12 in start",
        "  tasks/api.py:40 in post\\x1b",
        "KeyError: 'missing'",
    ]
    assert list(failure_lines(last_failure(EVENTS[:2])))[-1] == "OSError: no"


def test_without_a_failed_call_there_is_no_traceback() -> None:
    assert list(failure_lines(last_failure(EVENTS[:1]))) == [
        "traceback: no call of a function has failed with an exception"
    ]
