"""Follow an execution to its end by reading its history."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from pollflow.cli.progress import Progress, steps_of
from pollflow.cli.texts import compact, shortened
from pollflow.cli.views import View, stdout_console, view
from pollflow.errors import WaitTimeout
from pollflow.fdl import Flow
from pollflow.printable import clean

if TYPE_CHECKING:
    from pollflow.client import Execution

POLL_SECONDS = 0.1


def watch(
    execution: Execution,
    flow: Flow,
    *,
    how: str = "already running",
    timeout: float | None = None,
    check: Callable[[], object] = lambda: None,
    silent: bool = False,
) -> Execution:
    """Show an execution until its end, and return it as it is then. `how`: what to print if it is not new."""
    progress = Progress(steps_of(flow))
    with view(stdout_console(), flow, silent=silent) as output:
        _print_start(execution, progress, output, how)
        follow(execution, progress, output, timeout=timeout, check=check)
    return execution.refresh()


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


def _print_start(execution: Execution, progress: Progress, output: View, how: str) -> None:
    input = shortened(clean(compact(execution.input)), 200)
    output.write(f"{execution.flow}/{execution.name}  {input}", "bold")
    if execution.is_new:
        return
    for event in execution.events(after=progress.count):
        progress.feed(event)
    steps = ", ".join(visit.step for visit in progress.open.values())
    output.write(f"{how}; {progress.count} events so far" + (f", at {shortened(clean(steps), 200)}" if steps else ""))
