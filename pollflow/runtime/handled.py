"""`Handled`: what a step message led to, for the state and the result of its Celery task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum

from pollflow.machine import (
    AwaitChildren,
    AwaitReport,
    Decision,
    HistoryEvent,
    Phase,
    ScheduleCall,
    ScheduleStep,
    Status,
)
from pollflow.runtime.engine_errors import ERROR

_FAILURES = ("TaskFailed", "TaskTimedOut")


class HandledAs(Enum):
    """The kinds of `Handled`."""

    COMMITTED = "committed"
    """A transition was committed, and the execution continues or has succeeded. A caught error belongs here."""
    RETRIED = "retried"
    """The call failed and is called again."""
    FAILED = "failed"
    """The step failed, and with it the execution."""
    IGNORED = "ignored"
    """Nothing was committed."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What a message led to, in a short text without input or state. `error` and `cause` of a failed step or call.

    `seconds` is the pause before a retry.
    """

    kind: HandledAs
    text: str
    error: str = ""
    cause: str = ""
    seconds: float = 0


def ignored(reason: str) -> Handled:
    """Return the result of a message that changed nothing."""
    return Handled(HandledAs.IGNORED, f"ignored: {reason}")


def failed_by_engine(cause: str, *, is_over: bool) -> Handled:
    """Return the result of a message at which the engine itself failed: it is handled again unless it is over."""
    if is_over:
        return Handled(HandledAs.FAILED, "the engine failed", ERROR, cause)
    return Handled(HandledAs.RETRIED, "the engine failed; the step runs again", ERROR, cause)


def handled_of(decision: Decision, hide: Callable[[str], str]) -> Handled:
    """Return the result of a message whose decision was committed. `hide` masks secrets in errors and causes."""
    if (outcome := decision.outcome) is not None:
        if outcome.status is Status.FAILED:
            return Handled(HandledAs.FAILED, "the execution failed", hide(outcome.error), hide(outcome.cause))
        return Handled(HandledAs.COMMITTED, _end_text(decision.history[-1]))
    text, failure = _next_text(decision), _failure_in(decision)
    if failure is None:
        return Handled(HandledAs.COMMITTED, text)
    error, cause = hide(str(failure.detail["error"])), hide(str(failure.detail["cause"]))
    if isinstance(decision.wake, ScheduleCall) and decision.state and decision.state.phase is Phase.RETRYING:
        attempt = f"attempt {decision.state.attempt} in {decision.wake.after:g} s"
        return Handled(HandledAs.RETRIED, attempt, error, cause, decision.wake.after)
    return Handled(HandledAs.COMMITTED, f"caught {error}; {text}")


def _failure_in(decision: Decision) -> HistoryEvent | None:
    return next((event for event in decision.history if event.type in _FAILURES), None)


def _end_text(last: HistoryEvent) -> str:
    if last.type == "ExecutionSucceeded":
        return "the execution succeeded"
    return f"{'branch' if last.type == 'BranchExited' else 'iteration'} {last.detail['index']} ended"


def _next_text(decision: Decision) -> str:
    match decision.wake:
        case AwaitReport():
            return "waits for a report or a sub-flow"
        case AwaitChildren():
            return "branches or iterations run"
        case ScheduleStep(_, after, at) if decision.state and decision.state.phase is Phase.WAITING:
            if at is None:
                return f"waits {after:g} s"
            return f"waits until {datetime.fromtimestamp(at, timezone.utc).isoformat(timespec='seconds')}"
        case ScheduleStep(metadata) | ScheduleCall(metadata):
            return f"next: {metadata.step}"
        case None:
            raise TypeError("the frame has ended")
