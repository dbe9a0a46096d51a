"""`pollflow demo`: kill a worker in the middle of a wait, then check the history of the recovered execution."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
from pollflow.cli.output import write_line
from pollflow.cli.progress import Progress, steps_of
from pollflow.cli.project_app import APP_FILE, AppName
from pollflow.cli.session import ProjectLocation, Session, connected
from pollflow.cli.summary import print_next, print_result
from pollflow.cli.views import View, stdout_console, view
from pollflow.cli.workers import Worker, start_worker
from pollflow.fdl import load_flow

if TYPE_CHECKING:
    from pollflow.client import Execution

FLOW = "flows/task_polling.yaml"
FLOW_NAME = "task-polling"
INPUT = {"delay": 15}
"""Seconds that the job takes: the second query finds it done."""
KILL_AFTER_SECONDS = 3.0
TIMEOUT_SECONDS = 120.0
INTERRUPTED = "interrupted: the demo stops its processes and deletes its files; nothing is left behind"
NEXT = [
    ("pollflow init my-project", "write the files of this demo to a project of your own"),
    ("cd my-project", ""),
    (f"pollflow run {FLOW} --input '{{\"delay\": 20}}'", "run the flow and watch it"),
]


def demo() -> None:
    """Kill a worker in the middle of a wait and watch the execution recover.

    The demo starts the polling flow in a temporary project, as `pollflow init` writes it. It kills the worker with
    SIGKILL in the middle of a wait and starts a new one. Then it checks in the history that each transition was
    committed exactly once. It takes half a minute and leaves no files or processes.
    """
    with ExitStack() as cleanup:
        try:
            is_correct = _run_and_check(cleanup)
        except KeyboardInterrupt:
            # Answer before the cleanup, which takes seconds.
            write_line(INTERRUPTED, is_error=True)
            raise
    with view(stdout_console()) as output:
        print_next(NEXT, output)
    raise typer.Exit(SUCCEEDED if is_correct else FAILED)


def _run_and_check(cleanup: ExitStack) -> bool:
    folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pollflow-demo-", ignore_cleanup_errors=True))
    project = Path(folder)
    write_project(project)
    flow = load_flow(project / FLOW)
    location = ProjectLocation(project, app=AppName("worker", APP_FILE), is_isolated=True)
    # A killed worker leaves temporary files; they are deleted with the folder.
    session = replace(cleanup.enter_context(connected(location)), worker_environment={"TMPDIR": folder})
    session.client.deploy_text(flow.text, FLOW_NAME)
    output = cleanup.enter_context(view(stdout_console(), flow))
    _print(output, "Starting a private Redis, a worker and an execution in a new project.")
    start = cleanup.enter_context(_worker_pool(session))
    return _check(_run(session, start, Progress(steps_of(flow)), output), output)


def _run(session: Session, start: Callable[[], Worker], progress: Progress, output: View) -> Execution:
    first = start()
    execution = session.client.start(FLOW_NAME, INPUT, name="demo")
    follow(execution, progress, output, until=_is_in_wait, check=first.check, timeout=TIMEOUT_SECONDS)
    first.kill()
    _print(output, f"Killed the worker (process {first.process.pid}) with SIGKILL in the middle of a wait.", "red")
    second = start()
    _print(output, f"Started a new worker (process {second.process.pid}). All it needs is in Redis.")
    follow(execution, progress, output, check=second.check, timeout=TIMEOUT_SECONDS)
    return execution.refresh()


def _check(execution: Execution, output: View) -> bool:
    print_result(execution, output)
    _print(output, "Checking the history:")
    results = [(execution.status == "Succeeded", f"the execution {execution.status}"), *findings(execution.history())]
    for is_met, text in results:
        output.write(f" {'✓' if is_met else '✗ failed:'} {text}", "green" if is_met else "bold red")
    is_correct = all(is_met for is_met, _ in results)
    if is_correct:
        _print(output, "Each transition was committed exactly once.")
        output.write("After a crash, a function may be called again under the same idempotency key.")
    else:
        _print(output, "This is a bug; please report it.")
    return is_correct


def _is_in_wait(progress: Progress) -> bool:
    now = datetime.now(timezone.utc)
    waits = [visit for visit in progress.open.values() if visit.type == "wait" and visit.until is not None]
    return any(now - visit.entered_at > timedelta(seconds=KILL_AFTER_SECONDS) for visit in waits)


@contextmanager
def _worker_pool(session: Session) -> Iterator[Callable[[], Worker]]:
    """Return a function that starts workers. The end of the block stops all of them."""
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


def _print(output: View, text: str, style: str = "bold") -> None:
    output.write()
    output.write(text, style)
