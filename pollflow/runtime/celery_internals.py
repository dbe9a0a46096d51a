"""All uses of private parts of Celery, kombu and billiard. `check_internals` says which of them a version lacks.

Everything else in pollflow uses documented interfaces only.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import billiard
import billiard.common
import billiard.pool
import celery
import kombu
from celery.concurrency import prefork
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.base import BasePool
from celery.utils.log import current_process_index
from celery.worker import state as worker_state
from celery.worker.consumer import Consumer
from celery.worker.request import Request
from kombu.connection import Connection
from kombu.utils.limits import TokenBucket

from pollflow.errors import ConfigurationError

DEFAULT_CONSUMER = "celery.worker.consumer:Consumer"
EAGER_CONSUMER = "pollflow.runtime.celery_internals:EagerConsumer"

_PREFORK = "celery.concurrency.prefork"
_GEVENT = "celery.concurrency.gevent"
_INTERVALS = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 1.5}
"""Retry pauses of kombu in seconds: 0.5, 1, 1.5, then 2 (`interval_start` plus `interval_max`)."""

Terminate = Callable[[int, int | None], None]
"""Sends a signal to the pool child with a process id, by default the one that ends it after its cleanup."""


class EagerConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer with reconnection pauses of at most 2 s, where Celery's own grow to 30 s."""

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, with short pauses between the attempts."""
        conn.ensure_connection = partial(conn.ensure_connection, **_INTERVALS)
        return super().ensure_connected(conn)


def repair_prefork() -> None:
    """Make the workers of this process survive a reconnection while a pool child is ending (celery/celery#9250).

    When a child ends, Celery closes its copy of the child's sentinel and reaps the child. The kernel may close the
    sentinel before the child can be reaped, so the child stays listed without a descriptor until the next check, up
    to 5 s later. A reconnection before that registers all descriptors again, fails on the missing one, and the worker
    exits.
    """
    prefork.TaskPool.Pool = _RepairedPool


class _RepairedPool(AsynPool):  # type: ignore[misc]
    def _track_child_process(self, proc: Any, hub: Any) -> None:
        if getattr(proc, "_sentinel_poll", proc) is None:
            # Celery makes another copy; the event loop then sees that the child has ended, and reaps it.
            del proc._sentinel_poll
        super()._track_child_process(proc, hub)


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A Celery task that this worker has begun. `started_at` is epoch seconds by this machine's clock.

    `pid` is the process id of its pool child; None before the child confirms the task, or without child processes.
    """

    request: Any
    id: str
    name: str
    args: Any
    headers: dict[str, Any]
    pid: int | None
    started_at: float | None


def running_tasks() -> list[RunningTask]:
    """Return the tasks that this worker has begun and not ended. Safe to call from another thread."""
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


def rate_limited_requests(consumer: Any) -> list[Any]:
    """Return the requests that wait for a rate limit in the consumer. Safe to call from another thread."""
    buckets = _snapshot(getattr(consumer, "task_buckets", {}).values())
    return [request for bucket in buckets if bucket for request, _ in _snapshot(bucket.contents)]


def terminator(pool: Any) -> Terminate | None:
    """Return a function that terminates a pool child; None for other pools, since threads cannot be terminated."""
    terminate: Terminate | None = pool.terminate_job if type(pool).__module__ == _PREFORK else None
    return terminate


def child_index() -> int | None:
    """Return the index of this process among the children of its pool; None if it is no pool child."""
    index: int | None = current_process_index(base=0)
    return index


def has_terminate_signal() -> bool:
    """Return whether this pool child was terminated: its signal handler has raised SystemExit."""
    return bool(billiard.common._should_have_exited[0])


def is_stopped_greenlet(error: BaseException) -> bool:
    """Return whether gevent raised the error to stop a task: it was killed, or its hard time limit is over."""
    gevent: Any = sys.modules.get("gevent")
    if gevent is None:
        return False
    if issubclass(type(error), gevent.GreenletExit):
        # The functions of other pools run in the main greenlet, which has no parent and is never killed.
        return gevent.getcurrent().parent is not None
    limit = _green_time_limit()
    return limit is not None and issubclass(type(error), gevent.Timeout) and getattr(error, "seconds", None) == limit


def _green_time_limit() -> float | None:
    """Return the hard time limit of the task that runs in this greenlet, from the call of Celery that sets it."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "apply_timeout" and frame.f_globals.get("__name__") == _GEVENT:
            limit: float | None = frame.f_locals.get("timeout")
            return limit
        frame = frame.f_back
    return None


def check_internals() -> None:
    """Raise ConfigurationError if the installed versions lack a part that this module uses."""
    for library, name, exists in _required_parts():
        if not exists:
            raise ConfigurationError(
                f"{library.__name__} {library.__version__} has no {name}, which pollflow needs; "
                f"install a version that pollflow supports (docs/celery.md)"
            )


def _required_parts() -> Iterable[tuple[Any, str, bool]]:
    # Newer versions of kombu pass the keyword arguments on to a private method.
    ensure = getattr(Connection, "_ensure_connection", Connection.ensure_connection)
    ensure_parameters = set(inspect.signature(ensure).parameters)
    yield celery, "worker.state.active_requests", hasattr(worker_state, "active_requests")
    for attribute in ("worker_pid", "time_start", "request_dict"):
        yield celery, f"worker.request.Request.{attribute}", hasattr(Request, attribute)
    yield celery, "worker.consumer.Consumer.bucket_for_task", hasattr(Consumer, "bucket_for_task")
    yield kombu, "utils.limits.TokenBucket.contents", hasattr(TokenBucket(1), "contents")  # type: ignore[no-untyped-call]
    yield celery, "concurrency.base.BasePool.terminate_job", hasattr(BasePool, "terminate_job")
    yield celery, "concurrency.prefork.TaskPool.Pool", hasattr(prefork.TaskPool, "Pool")
    for attribute in ("_track_child_process", "_untrack_child_process"):
        yield celery, f"concurrency.asynpool.AsynPool.{attribute}", hasattr(AsynPool, attribute)
    yield celery, "worker.consumer.Consumer.ensure_connected", hasattr(Consumer, "ensure_connected")
    yield (
        kombu,
        "connection.Connection.ensure_connection(interval_start=…)",
        _INTERVALS.keys() <= ensure_parameters,
    )
    yield billiard, "common._should_have_exited", hasattr(billiard.common, "_should_have_exited")
    yield billiard, "pool.Pool.terminate_job", hasattr(billiard.pool.Pool, "terminate_job")


def _snapshot(requests: Iterable[Any]) -> list[Any]:
    """Copy a set that the main thread may change at the same time."""
    while True:
        try:
            return list(requests)
        except RuntimeError:
            continue
