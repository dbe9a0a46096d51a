"""Ends a worker whose command is gone. Celery imports it into the worker: `-I pollflow.cli.parent_watch`.

The command holds one end of a pipe, and the worker reads the other: however the command ends, the worker reads the
end of the pipe, and leaves.
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "POLLFLOW_PARENT_WATCH"
"""The environment's name for the descriptor that the worker reads."""
PATIENCE_SECONDS = 10.0


def watch(descriptor: int) -> None:
    """Wait for the end of the pipe; then end this process, in good order if that does not take long."""
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(PATIENCE_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _start() -> None:
    descriptor = os.environ.pop(VARIABLE, "")
    if descriptor and os.getpgrp() == os.getpid():
        threading.Thread(target=watch, args=(int(descriptor),), name="pollflow-lifeline", daemon=True).start()


_start()
