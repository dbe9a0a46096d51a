"""Lease renewal for the calls that a worker runs, and termination of calls that can no longer commit.

It runs in the worker's main process, not in a pool child. So a function that keeps its process busy does not block the
renewal of its own lease, and the calls of a dead child are no longer renewed.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from pollflow.errors import ExecutionNotExists, InvalidArgument
from pollflow.machine import Status
from pollflow.runtime.call_marks import CallMarks
from pollflow.runtime.celery_internals import RunningTask, Terminate, running_tasks
from pollflow.runtime.messages import CALLBACK, TASK_PREFIX, key_of
from pollflow.store import MessageKey, Reading, Store

logger = logging.getLogger("pollflow")

_MAX_FAILED_ROUNDS = 3
"""The failed renewals after which a call is terminated. A task that has just committed fails until it returns."""
_KILL_ROUNDS = 10
"""The failed renewals after which a call is killed that has not ended since it was terminated."""
_ENDED_PER_ROUND = 20
"""The calls that one round ends, so that the next renewals are not late."""

_worker = secrets.token_hex(8)


def worker_name() -> str:
    """Return the prefix of the nonces of this worker's calls; forked pool children share it."""
    return _worker


def name_worker(hostname: str) -> None:
    """Name this worker after its Celery node, before it forks its pool. A random suffix keeps names unique."""
    global _worker
    _worker = f"{hostname}/{secrets.token_hex(4)}"


@dataclass(slots=True)
class LeaseRenewer:
    """Renews all leases once a round.

    `terminate` ends a pool child, and `marks` says which call it runs; None for a pool without child processes.
    """

    store: Store
    reading: Reading
    terminate: Terminate | None = None
    marks: CallMarks | None = None
    list_running: Callable[[], Sequence[RunningTask]] = running_tasks
    _failed_rounds: dict[Any, int] = field(default_factory=dict)
    """The number of failed renewals in a row, by request."""
    _terminated: set[Any] = field(default_factory=set)
    """The requests of calls that were terminated."""

    def renew(self) -> None:
        """Renew every lease once, and then end calls that can no longer commit."""
        tasks = [pair for pair in _step_tasks(self.list_running()) if not self._has_died(pair[0])]
        renewed = self.store.renew([key for _, key in tasks], worker_name())
        failed = [pair for pair, is_renewed in zip(tasks, renewed, strict=True) if not is_renewed]
        self._failed_rounds = {task.request: self._failed_rounds.get(task.request, 0) + 1 for task, _ in failed}
        self._terminated &= self._failed_rounds.keys()
        if self.terminate is None:
            return
        due = (pair for pair in failed if self._failed_rounds[pair[0].request] >= _MAX_FAILED_ROUNDS)
        for task, key in islice(due, _ENDED_PER_ROUND):
            self._end(task, key)

    def _has_died(self, task: RunningTask) -> bool:
        """Return whether the child of a task has ended, also if Celery does not notice it.

        A worker of Celery 5.5 that reconnects forgets which calls its children run, and never learns their end.
        """
        return self.terminate is not None and task.pid is not None and _has_exited(task.pid)

    def _end(self, task: RunningTask, key: MessageKey) -> None:
        """End a call whose execution was stopped, whose attempt timed out, or that another worker has claimed."""
        if task.request not in self._terminated:
            if not self._may_finish(task, key) and self._signal(key, None):
                logger.warning("terminated a call that can no longer commit", extra={"task": task.id})
                self._terminated.add(task.request)
            return
        # The function may block the signal, catch its exception, or be in a library that does not return.
        is_overdue = self._failed_rounds[task.request] == _MAX_FAILED_ROUNDS + _KILL_ROUNDS
        if is_overdue and self._signal(key, signal.SIGKILL):
            logger.warning("killed a call that did not end", extra={"task": task.id})

    def _signal(self, key: MessageKey, number: int | None) -> bool:
        """Send a signal to the child that runs the call. Return False if no child runs it."""
        terminate, marks = self.terminate, self.marks
        return terminate is not None and marks is not None and marks.end(key.token, lambda pid: terminate(pid, number))

    def _may_finish(self, task: RunningTask, key: MessageKey) -> bool:
        """Return whether the step was reported while its function still runs; the function may then finish."""
        timeout = task.headers.get(CALLBACK)
        if timeout is None or (timeout and task.started_at and time.time() > task.started_at + timeout):
            return False
        try:
            execution = self.reading.execution(key.ref)
        except ExecutionNotExists:
            return False
        if execution.key != key.execution:
            return False
        if execution.status.ended:
            return execution.status is Status.SUCCEEDED
        frame = self.reading.frame(key.ref, key.frame)
        return frame is None or frame.token != key.token  # with the same token, another worker has claimed the call


def _has_exited(pid: int) -> bool:
    """Return whether a child process has ended. It can still be reaped by the worker."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _step_tasks(tasks: Sequence[RunningTask]) -> list[tuple[RunningTask, MessageKey]]:
    found = []
    for task in tasks:
        if not task.name.startswith(TASK_PREFIX):
            continue
        try:
            found.append((task, key_of(task.args)))
        except InvalidArgument:
            continue
    return found
