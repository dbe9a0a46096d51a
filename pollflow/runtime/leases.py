"""Lease renewal for the calls that a worker runs, and termination of calls that can no longer commit.

It runs in the worker's main process, not in a pool child. So a function that keeps its process busy does not block the
renewal of its own lease, and the calls of a dead child are no longer renewed.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pollflow.errors import ExecutionNotExists, InvalidArgument
from pollflow.machine import Status
from pollflow.runtime.celery_internals import RunningTask, Terminate, running_tasks
from pollflow.runtime.messages import CALLBACK, TASK_PREFIX, key_of
from pollflow.store import MessageKey, Reading, Store

logger = logging.getLogger("pollflow")

_MAX_FAILED_ROUNDS = 3
"""The failed renewals after which a call is terminated. A task that has just committed fails until it returns."""

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
    """Renews all leases once a round. `terminate` kills a pool child; None for a pool without child processes."""

    store: Store
    reading: Reading
    terminate: Terminate | None = None
    list_running: Callable[[], Sequence[RunningTask]] = running_tasks
    _failed_rounds: dict[Any, float] = field(default_factory=dict)
    """The number of failed renewals in a row, by request; infinity after its process was terminated."""

    def renew(self) -> None:
        """Renew every lease once."""
        failed: dict[Any, float] = {}
        for task, key in _step_tasks(self.list_running()):
            if self.store.renew(key, worker_name()):
                continue
            rounds = self._failed_rounds.get(task.request, 0) + 1
            failed[task.request] = rounds
            if rounds >= _MAX_FAILED_ROUNDS and rounds < math.inf and self._terminate(task, key):
                failed[task.request] = math.inf
        self._failed_rounds = failed

    def _terminate(self, task: RunningTask, key: MessageKey) -> bool:
        """Terminate a call whose execution was stopped, whose attempt timed out, or that another worker has claimed."""
        if self.terminate is None or not task.pid or not task.is_running() or self._may_finish(task, key):
            return False
        logger.warning("terminated a call that can no longer commit", extra={"task": task.id})
        self.terminate(task.pid)
        return True

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
