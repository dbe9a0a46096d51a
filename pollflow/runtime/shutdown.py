"""Notes that a worker shuts down, so that calls interrupted by it do not count as crashes."""

from __future__ import annotations

import signal
import threading
from typing import Any

from celery import bootsteps

from pollflow.runtime import shutdown_flag


class ShutdownHandler(bootsteps.StartStopStep):  # type: ignore[misc]
    """A worker step that notes the shutdown however it begins: a remote control command sends no signal."""

    name = "pollflow.shutdown"

    def start(self, parent: Any) -> None:
        """Do nothing."""

    def close(self, parent: Any) -> None:
        """Note that the worker begins to stop."""
        shutdown_flag.set_stopping()


def follow_signals() -> None:
    """Note a shutdown at its signal: a soft shutdown interrupts calls before the worker closes its steps."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        _before(number)


def _before(number: int) -> None:
    handler = signal.getsignal(number)
    if not callable(handler):
        return

    def noted(*args: Any) -> None:
        shutdown_flag.set_stopping()
        handler(*args)

    signal.signal(number, noted)
