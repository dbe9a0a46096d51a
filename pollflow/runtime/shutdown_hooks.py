"""How a worker that is told to stop lets go of its messages, so that others go on with them at once.

Celery stops consuming at once and gives back what it holds only at its very end, when the last call has ended. Until
then a message may even be popped from the queue by the last BRPOP of its consumer, which nobody reads.
"""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from typing import Any

from celery import bootsteps

from pollflow.runtime.keeper import Keeper


def worker_shutdown_hook(keepers: list[Keeper]) -> type[bootsteps.StartStopStep]:
    """A step of the worker that tells of its end before its consumer forgets what it holds.

    A worker that is stopped by remote control had no signal.
    """

    class PollflowFirstNotice(bootsteps.StartStopStep):  # type: ignore[misc]
        name = "pollflow.first-notice"

        def close(self, parent: Any) -> None:
            """The worker begins to stop."""
            for keeper in keepers:
                keeper.note_stop()

    return PollflowFirstNotice


def consumer_shutdown_hook(keepers: list[Keeper]) -> type[bootsteps.StartStopStep]:
    """A step of the consumer that reads the answer of its last BRPOP, and says that no other follows."""

    class PollflowLastReading(bootsteps.StartStopStep):  # type: ignore[misc]
        name = "pollflow.last-reading"
        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, parent: Any) -> None:
            """Nothing to be done."""

        def stop(self, parent: Any) -> None:
            """Reads for as long as kombu has asked Redis to wait: a second."""
            if parent.controller.blueprint.state not in (bootsteps.CLOSE, bootsteps.TERMINATE):
                return  # it reconnects
            channel = getattr(parent.task_consumer, "channel", None)
            if getattr(channel, "_in_poll", None):
                _read(channel)
            for keeper in keepers:
                keeper.note_closed()

        def shutdown(self, parent: Any) -> None:
            """Nothing to be done."""

    return PollflowLastReading


def _read(channel: Any) -> None:
    with suppress(Exception):  # empty, or the connection is gone; the sweep finds what it may have lost
        channel._brpop_read()


def follow_signals(keeper: Keeper) -> None:
    """Lets the keeper know of a stop when it is told, and not only when a soft shutdown has waited."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        _before(number, keeper)


def _before(number: int, keeper: Keeper) -> None:
    handler = signal.getsignal(number)
    if not callable(handler):
        return

    def noted(*args: Any) -> None:
        keeper.note_stop()
        handler(*args)

    signal.signal(number, noted)
