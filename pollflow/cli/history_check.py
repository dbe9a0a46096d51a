"""Check a history: each transition was committed exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pollflow.cli.progress import ENDS

if TYPE_CHECKING:
    from pollflow.client import HistoryEntry


def findings(history: Sequence[HistoryEntry]) -> list[tuple[bool, str]]:
    """Return the checks of a succeeded execution's history: whether each is met, and its text."""
    kinds = Counter(event.type for event in history)
    entered, exited = kinds["StepEntered"], kinds["StepExited"]
    calls = Counter(visit_key(history, event) for event in history if event.type == "TaskSucceeded")
    scheduled = {visit_key(history, event) for event in history if event.type == "TaskScheduled"}
    return [
        (
            [event.id for event in history] == list(range(1, len(history) + 1)),
            f"{len(history)} events, numbered from 1 without a gap",
        ),
        (
            [event.time for event in history] == sorted(event.time for event in history),
            "timestamps never decrease",
        ),
        (
            entered == exited == kinds["StepStarted"] == kinds["StepSucceeded"],
            f"{entered} visits of steps were entered and {exited} exited, each once",
        ),
        (
            set(calls) == scheduled and all(results == 1 for results in calls.values()),
            f"{len(calls)} calls, each with its own idempotency key and one result",
        ),
        (
            kinds["ExecutionStarted"] == 1 and sum(kinds[end] for end in ENDS) == 1 and history[-1].type in ENDS,
            "one start and one end",
        ),
    ]


def visit_key(history: Sequence[HistoryEntry], event: HistoryEntry) -> str:
    """Return the visit that an event belongs to, in the form of idempotency keys: `STEP/ENTRY`.

    ENTRY is the number of steps entered so far, so this is correct for flows without branches only.
    """
    entry = sum(before.type == "StepEntered" for before in history[: event.id])
    return f"{event.step}/{entry}"
