"""The test app with a task of its own, functions that meet signals, and a delay before a process is terminated."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any
from unittest.mock import patch

import pollflow
import pollflow.runtime.app
from pollflow.runtime.celery_internals import Terminate, terminator
from tests.apps.jobs import app, record, redis

__all__ = ["app"]


@app.task(name="own.task")  # type: ignore[untyped-decorator]
def own_task() -> None:
    """Last until the key `test:end` exists, and record the start and the end."""
    redis.rpush("test:own", "started")
    while not redis.exists("test:end"):
        time.sleep(0.05)
    redis.rpush("test:own", "ended")


@pollflow.function("jobs/stubborn")
def stubborn(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Block SIGTERM for 300 s."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    record(input, context)
    time.sleep(300)
    return {}


@pollflow.function("jobs/terminated")
def terminated(input: dict[str, Any], context: pollflow.Context) -> dict[str, Any]:
    """Make Redis delay all writes for 5 s, return, and terminate the process while it commits."""
    if record(input, context) == 1:
        threading.Timer(2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        redis.client_pause(5000, all=False)
    return {}


def late_terminator(pool: Any) -> Terminate:
    """Return a function that gives the process 3 s to begin another task before it is terminated."""
    terminate = terminator(pool)
    assert terminate is not None

    def wait_and_terminate(pid: int, number: int | None) -> None:
        redis.set("test:terminating", 1)
        deadline = time.monotonic() + 3
        while not redis.exists("test:own") and time.monotonic() < deadline:
            time.sleep(0.05)
        terminate(pid, number)

    return wait_and_terminate


patch.object(pollflow.runtime.app, "terminator", late_terminator).start()
