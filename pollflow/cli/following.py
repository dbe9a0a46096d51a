"""Follow an execution to its end by reading its history."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pollflow.cli.progress import Progress
from pollflow.cli.views import View
from pollflow.errors import WaitTimeout

if TYPE_CHECKING:
    from pollflow.client import Execution

POLL_SECONDS = 0.1


def follow(
    execution: Execution,
    progress: Progress,
    view: View,
    *,
    timeout: float | None = None,
    until: Callable[[Progress], bool] = lambda progress: progress.ended is not None,
    check: Callable[[], object] = lambda: None,
) -> None:
    """Show each new event until the execution has ended or `until` is true.

    `check` is called after each read and may raise. Raises WaitTimeout after `timeout` seconds.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        for event in execution.events(after=progress.count):
            line = progress.feed(event)
            if line is not None:
                view.show_line(line)
        view.refresh(progress)
        if progress.ended is not None or until(progress):
            return
        if deadline is not None and time.monotonic() > deadline:
            name = f"{execution.flow}/{execution.name}"
            raise WaitTimeout(f"{name} has not ended after {timeout:g} seconds; it continues when a worker is running")
        check()
        time.sleep(POLL_SECONDS)


def catch_up(execution: Execution, progress: Progress) -> None:
    """Read the events so far without showing them."""
    for event in execution.events(after=progress.count):
        progress.feed(event)
