"""`pollflow demo`: a worker is killed in the middle of a wait, and nothing is lost. A story that checks itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pollflow.cli.exits import FAILED, SUCCEEDED
from pollflow.cli.following import follow
from pollflow.cli.history_check import findings
from pollflow.cli.init import write_project
from pollflow.cli.interruptions import deferred
from pollflow.cli.progress import Progress, steps_of
from pollflow.cli.session import ProjectLocation, Session, connected
from pollflow.cli.summary import notify_parents, tell_next
from pollflow.cli.views import View, stdout_console, view
from pollflow.cli.workers import Worker, start_worker
from pollflow.fdl import load_flow

if TYPE_CHECKING:
    from pollflow.client import Execution

FLOW = "flows/task_polling.yaml"
FLOW_NAME = "task-polling"
INPUT = {"delay": 15}
"""Seconds that the job takes: the second query finds it done."""
KILLED_AFTER_SECONDS = 3.0
TIMEOUT_SECONDS = 120.0
NEXT = [
    ("pollflow init my-project", "writes the files of this demo, to make your own"),
    ("cd my-project", ""),
    (f"pollflow run {FLOW} --input '{{\"delay\": 20}}'", "runs the flow and shows it"),
]


def demo() -> None:
    """Kill a worker in the middle of a wait and watch the execution recover.

    In a temporary folder, with the files that `pollflow init` writes: the polling flow starts, its worker is killed
    with SIGKILL in the middle of a wait, a new worker takes over, and the history is checked: nothing is lost, and
    nothing is done twice. It takes half a minute and leaves nothing behind.
    """
    with tempfile.TemporaryDirectory(prefix="pollflow-demo-", ignore_cleanup_errors=True) as folder:
        project = Path(folder)
        write_project(project)
        flow = load_flow(project / FLOW)
        progress = Progress(steps_of(flow))
        # A Redis that the environment names is not for plays.
        with connected(ProjectLocation(project, asks_environment=False)) as opened:
            # A killed worker leaves temporary files: here they go with the folder.
            session = replace(opened, worker_environment={"TMPDIR": folder})
            session.client.deploy_text(flow.text, FLOW_NAME)
            with view(stdout_console(), flow) as shown:
                execution = _play(session, progress, shown)
                is_sound = _judge(execution, shown)
    with view(stdout_console()) as shown:
        tell_next(NEXT, shown)
    raise typer.Exit(SUCCEEDED if is_sound else FAILED)


def _play(session: Session, progress: Progress, shown: View) -> Execution:
    _say(shown, "A private Redis and a worker start in a new project; the flow starts.")
    with _worker_pool(session) as start:
        first = start()
        execution = session.client.start(FLOW_NAME, INPUT, name="demo")
        follow(execution, progress, shown, until=_in_the_middle_of_a_wait, check=first.check, timeout=TIMEOUT_SECONDS)
        first.kill()
        _say(
            shown, f"In the middle of the wait its worker, process {first.process.pid}, is killed with SIGKILL.", "red"
        )
        second = start()
        _say(shown, f"A new worker, process {second.process.pid}, finds in Redis all that it needs.")
        follow(execution, progress, shown, check=second.check, timeout=TIMEOUT_SECONDS)
    return execution


def _judge(execution: Execution, shown: View) -> bool:
    notify_parents(execution, shown)
    _say(shown, "Its history, checked:")
    results = [(execution.status == "Succeeded", f"it ended {execution.status}"), *findings(execution.history())]
    for is_so, text in results:
        shown.say(f" {'✓' if is_so else '✗ NOT SO:'} {text}", "green" if is_so else "bold red")
    is_sound = all(is_so for is_so, _ in results)
    _say(
        shown, "Nothing was lost, and nothing was done twice." if is_sound else "This must not happen: tell us.", "bold"
    )
    return is_sound


def _in_the_middle_of_a_wait(progress: Progress) -> bool:
    now = datetime.now(timezone.utc)
    waiting = [entry for entry in progress.open.values() if entry.type == "wait" and entry.until is not None]
    return any(now - entry.entered_at > timedelta(seconds=KILLED_AFTER_SECONDS) for entry in waiting)


@contextmanager
def _worker_pool(session: Session) -> Iterator[Callable[[], Worker]]:
    """Starts workers; none of them outlives the block."""
    started: list[Worker] = []

    def start() -> Worker:
        with deferred():
            started.append(start_worker(session))
        started[-1].wait_until_ready()
        return started[-1]

    try:
        yield start
    finally:
        for worker in started:
            worker.stop()


def _say(shown: View, text: str, style: str = "bold") -> None:
    shown.say()
    shown.say(text, style)
