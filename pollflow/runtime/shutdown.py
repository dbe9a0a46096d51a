"""Detection of a worker's shutdown, so that the calls that it interrupts do not count as crashes."""

from __future__ import annotations

import signal
import threading
from typing import Any

from celery import bootsteps

from pollflow.runtime import shutdown_flag


class ShutdownHandler(bootsteps.StartStopStep):  # type: ignore[misc]
    """A bootstep that sets the shutdown flag, also for a shutdown by remote control, which sends no signal."""

    name = "pollflow.shutdown"

    def start(self, parent: Any) -> None:
        """Do nothing."""

    def close(self, parent: Any) -> None:
        """Set the shutdown flag: the worker begins to stop."""
        shutdown_flag.set_stopping()


def follow_signals() -> None:
    """Set the shutdown flag on signals: a soft shutdown interrupts calls before it closes the bootsteps."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        _wrap_handler(number)


def _wrap_handler(number: int) -> None:
    handler = signal.getsignal(number)
    if not callable(handler):
        return

    def set_flag(*args: Any) -> None:
        shutdown_flag.set_stopping()
        handler(*args)

    signal.signal(number, set_flag)
