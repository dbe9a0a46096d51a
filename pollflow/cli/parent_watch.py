"""Stop a worker when the command that started it has ended. The worker imports it: `-I pollflow.cli.parent_watch`.

The command keeps the write end of a pipe open, and the worker reads the other end. However the command ends, the
kernel closes the pipe, and the worker stops.
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "POLLFLOW_PARENT_WATCH"
"""The environment variable with the number of the descriptor that the worker reads."""
STOP_SECONDS = 10.0
"""How long a warm shutdown may take before the process group is killed."""


def watch(descriptor: int) -> None:
    """Wait for the end of the pipe, then stop this process: a warm shutdown first, then SIGKILL."""
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(STOP_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _start() -> None:
    descriptor = os.environ.pop(VARIABLE, "")
    if descriptor and os.getpgrp() == os.getpid():
        threading.Thread(target=watch, args=(int(descriptor),), name="pollflow-parent-watch", daemon=True).start()


_start()
