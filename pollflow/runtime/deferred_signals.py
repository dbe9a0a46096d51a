"""Interruption of step tasks: only the function of a call is interrupted, never a claim or a commit.

Celery interrupts the task of a pool child by a signal whose handler raises an exception: SIGUSR1 at the soft time
limit, SIGTERM or SIGQUIT to end the process. Raised in the middle of a commit, it would lose the result of a function
that has returned. So the handlers are wrapped: a signal that arrives while the engine works takes effect when the next
function starts, or at the end of the task.

A commit that is repeated while Redis cannot serve ends at its next pause if the process is to end. Tasks of the app
itself are interrupted as ever.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pollflow.runtime import call_marks

T = TypeVar("T")

_SOFT_LIMIT = signal.SIGUSR1
_SIGNALS = (_SOFT_LIMIT, signal.SIGTERM, signal.SIGQUIT)


@dataclass(slots=True)
class _Child:
    """The state of a pool child. The handlers of signals run in the thread that runs its tasks."""

    marks: call_marks.CallMarks | None = None
    """The marks of its worker; None in a process that is no pool child."""
    is_deferring: bool = False
    token: str = ""
    """The token of the message whose task runs."""
    pending: dict[int, Callable[[], None]] = field(default_factory=dict)


_child = _Child()


def join_pool(index: int | None) -> None:
    """Defer interruptions in this process from now on, if it is a pool child: if it has an index in a pool."""
    global _child
    marks = call_marks.current()
    if index is None or marks is None:
        return
    marks.join(index)
    _child = _Child(marks)


def uninterrupted(task: Callable[[], T], token: str) -> T:
    """Run a step task, whose message has this token; it is interrupted only in `interruptible`."""
    if _child.marks is None:
        return task()
    _wrap_handlers()
    _child.token = token
    try:
        _child.is_deferring = True
        return task()
    finally:
        _child.is_deferring = False
        # After the last commit, a soft time limit has nothing left to interrupt.
        _child.pending.pop(_SOFT_LIMIT, None)
        _interrupt()


def interruptible(call: Callable[[], T]) -> T:
    """Call a function of a user, and mark that it runs."""
    marks = _child.marks
    if marks is None or not _child.is_deferring:
        return call()
    marks.set(_child.token)
    try:
        _child.is_deferring = False
        _interrupt()
        return call()
    finally:
        # Nothing may be called before this line, since a call may run the handler of a signal.
        _child.is_deferring = True
        marks.clear()


def pause(seconds: float) -> None:
    """Sleep before a repetition of a commit. Raises what ends the process, if that was deferred."""
    time.sleep(seconds)
    if any(number != _SOFT_LIMIT for number in _child.pending):
        _interrupt()


def _interrupt() -> None:
    """Run the handlers of the signals that were deferred. They raise."""
    while _child.pending:
        _, handler = _child.pending.popitem()
        handler()


def _wrap_handlers() -> None:
    # billiard sets its handlers after the last hook of a new child, so they are wrapped by the first step task.
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler) and not isinstance(handler, _Deferring):
            signal.signal(number, _Deferring(handler))


@dataclass(frozen=True, slots=True)
class _Deferring:
    """A handler of a signal that waits while the engine works."""

    handler: Callable[[int, Any], Any]

    def __call__(self, number: int, frame: Any) -> None:
        if _child.is_deferring:
            _child.pending[number] = lambda: self.handler(number, None)
        else:
            self.handler(number, frame)
