"""All uses of private parts of Celery, kombu and billiard. `check_internals` says which of them a version lacks.

Everything else in pollflow uses documented interfaces only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import billiard
import billiard.pool
import celery
import kombu
from celery.concurrency.base import BasePool
from celery.worker import state as worker_state
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from kombu.connection import Connection

from pollflow.errors import ConfigurationError

DEFAULT_CONSUMER = "celery.worker.consumer:Consumer"
EAGER_CONSUMER = "pollflow.runtime.celery_internals:EagerConsumer"

_PREFORK = "celery.concurrency.prefork"
_INTERVALS = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 1.5}
"""As kombu takes them: from the first, by the step, up to first and maximum together."""

Terminate = Callable[[int], None]
"""Ends the pool child of a process id."""


class EagerConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, which reconnects every two seconds at least; Celery's own pauses grow to thirty."""

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long that takes."""
        conn.ensure_connection = partial(conn.ensure_connection, **_INTERVALS)
        return super().ensure_connected(conn)


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A Celery task that this worker has begun. `started_at` is epoch seconds by this machine's clock.

    `pid` is that of the pool child that runs it, None until the child has confirmed it or where there are no children.
    """

    request: Any
    id: str
    name: str
    args: Any
    headers: dict[str, Any]
    pid: int | None
    started_at: float | None

    def is_running(self) -> bool:
        """Return whether it has not ended since: its pool child may run another task by now."""
        return self.request in worker_state.active_requests


def running_tasks() -> list[RunningTask]:
    """Return the tasks that this worker has begun and not ended; safe beside Celery's main thread."""
    return [
        RunningTask(
            request=request,
            id=request.id,
            name=request.name,
            args=request.args,
            headers=request.request_dict,
            pid=request.worker_pid,
            started_at=request.time_start,
        )
        for request in _snapshot(worker_state.active_requests)
    ]


def terminator(pool: Any) -> Terminate | None:
    """Return what ends a pool child; None for pools without children, since threads cannot be ended from outside."""
    terminate: Terminate | None = pool.terminate_job if type(pool).__module__ == _PREFORK else None
    return terminate


def check_internals() -> None:
    """Raise ConfigurationError if the installed versions lack a part that this module uses."""
    for library, name, is_there in _uses():
        if not is_there:
            raise ConfigurationError(
                f"{library.__name__} {library.__version__} has no {name}, which pollflow needs; "
                f"install a version that pollflow supports (docs/celery.md)"
            )


def _uses() -> Iterable[tuple[Any, str, bool]]:
    # `ensure_connection` passes its keywords to a private method in newer versions of kombu.
    ensure = getattr(Connection, "_ensure_connection", Connection.ensure_connection)
    ensure_parameters = set(inspect.signature(ensure).parameters)
    yield celery, "worker.state.active_requests", hasattr(worker_state, "active_requests")
    for attribute in ("worker_pid", "time_start", "request_dict"):
        yield celery, f"worker.request.Request.{attribute}", hasattr(Request, attribute)
    yield celery, "concurrency.base.BasePool.terminate_job", hasattr(BasePool, "terminate_job")
    yield celery, "worker.consumer.Consumer.ensure_connected", hasattr(Consumer, "ensure_connected")
    yield (
        kombu,
        "connection.Connection.ensure_connection(interval_start=…)",
        _INTERVALS.keys() <= ensure_parameters,
    )
    yield billiard, "pool.Pool.terminate_job", hasattr(billiard.pool.Pool, "terminate_job")


def _snapshot(requests: Iterable[Any]) -> list[Any]:
    """Copy a set that the main thread changes meanwhile."""
    while True:
        try:
            return list(requests)
        except RuntimeError:
            continue
