"""Whether a history is what it must be: nothing lost, nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pollflow.cli.progress import ENDS

if TYPE_CHECKING:
    from pollflow.client import HistoryEntry


def findings(history: Sequence[HistoryEntry]) -> list[tuple[bool, str]]:
    """What was looked at in the history of an execution that succeeded, and whether it is so."""
    kinds = Counter(event.type for event in history)
    entered, left = kinds["StepEntered"], kinds["StepExited"]
    calls = Counter(key_of(history, event) for event in history if event.type == "TaskSucceeded")
    scheduled = {key_of(history, event) for event in history if event.type == "TaskScheduled"}
    return [
        (
            [event.id for event in history] == list(range(1, len(history) + 1)),
            f"{len(history)} events, numbered from 1 without a gap",
        ),
        (
            [event.time for event in history] == sorted(event.time for event in history),
            "each at its time: the clock never goes back",
        ),
        (
            entered == left == kinds["StepStarted"] == kinds["StepSucceeded"],
            f"{entered} times a step was entered, {left} times one was left: each entry once",
        ),
        (
            set(calls) == scheduled and all(results == 1 for results in calls.values()),
            f"{len(calls)} calls, each with an idempotency key of its own and one result",
        ),
        (
            kinds["ExecutionStarted"] == 1 and sum(kinds[end] for end in ENDS) == 1 and history[-1].type in ENDS,
            "one start, one end",
        ),
    ]


def key_of(history: Sequence[HistoryEntry], event: HistoryEntry) -> str:
    """Which visit of which step an event belongs to, as the idempotency key of its calls says it: `STEP/ENTRY`.

    For a flow without branches: the entry is the number of the steps entered so far.
    """
    entry = sum(before.type == "StepEntered" for before in history[: event.id])
    return f"{event.step}/{entry}"
