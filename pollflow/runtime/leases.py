"""Renews the leases of the calls that a worker runs, and ends calls that cannot commit any more.

It runs in the worker's main process, not in a pool child: a function that keeps its process busy cannot keep its own
lease from being renewed, and a dead child stops being listed.
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

_ROUNDS_BEFORE_END = 3
"""A task that has just committed cannot renew either; it has this many rounds to return."""

_worker = secrets.token_hex(8)


def worker_name() -> str:
    """Return the name that begins the nonces of this worker's calls; pool children are forked and share it."""
    return _worker


def name_worker(hostname: str) -> None:
    """Name this worker after its Celery node, before it forks its pool. Two workers of one node name still differ."""
    global _worker
    _worker = f"{hostname}/{secrets.token_hex(4)}"


@dataclass(slots=True)
class LeaseRenewer:
    """Renews leases once a round. `terminate` ends a pool child; None where the pool has none."""

    store: Store
    reading: Reading
    terminate: Terminate | None = None
    list_running: Callable[[], Sequence[RunningTask]] = running_tasks
    _refused: dict[Any, float] = field(default_factory=dict)
    """For how many rounds the lease of a request could not be renewed; infinity once its process was ended."""

    def renew(self) -> None:
        """Renew every lease once."""
        refused: dict[Any, float] = {}
        for task, key in _step_tasks(self.list_running()):
            if self.store.renew(key, worker_name()):
                continue
            rounds = self._refused.get(task.request, 0) + 1
            refused[task.request] = rounds
            if rounds >= _ROUNDS_BEFORE_END and rounds < math.inf and self._end(task, key):
                refused[task.request] = math.inf
        self._refused = refused

    def _end(self, task: RunningTask, key: MessageKey) -> bool:
        """End a call whose execution was stopped, whose attempt timed out, or that another worker has taken over."""
        if self.terminate is None or not task.pid or not task.is_running() or self._may_finish(task, key):
            return False
        logger.warning("ended a call that cannot commit any more", extra={"task": task.id})
        self.terminate(task.pid)
        return True

    def _may_finish(self, task: RunningTask, key: MessageKey) -> bool:
        """Return whether the step waited for a callback and was reported: then its function may finish its work."""
        limit = task.headers.get(CALLBACK)
        if limit is None or (limit and task.started_at and time.time() > task.started_at + limit):
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
        return frame is None or frame.token != key.token  # otherwise another worker has taken the call over


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
