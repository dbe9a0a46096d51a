"""`pollflow worker`: a Celery worker of the project in the foreground."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Annotated

import typer

from pollflow.cli.interruptions import deferred, forwarded
from pollflow.cli.options import ProjectFolder, RedisUrl
from pollflow.cli.session import connected, find_location
from pollflow.cli.workers import check_imports, check_project, spawn
from pollflow.server.folders import private_folder

Concurrency = Annotated[
    int, typer.Option("--concurrency", "-c", metavar="N", min=1, help="The number of concurrent calls.")
]
Beat = Annotated[bool, typer.Option("--beat", "-B", help="Also run the beat schedule. Workers sweep without it.")]
LogLevel = Annotated[str, typer.Option("--loglevel", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR.")]


def worker(
    concurrency: Concurrency = 2,
    beat: Beat = False,
    loglevel: LogLevel = "INFO",
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Run a worker until Ctrl-C.

    The same as `celery -A worker worker` in the project's folder, on the project's embedded Redis unless another Redis
    is configured. If Redis cannot be reached, the worker keeps retrying. After a second Ctrl-C the worker does not wait
    for running functions; another worker calls them again under the same idempotency keys. Exit status: 0 after a
    requested stop, 2 if the worker could not start, otherwise the status of Celery.
    """
    location = find_location(redis, project)
    check_project(location.project, needs_worker=True)
    options = ["--concurrency", str(concurrency), "--loglevel", loglevel.upper()]
    if beat:
        options += ["--beat", "--schedule", str(private_folder(location.project) / "celerybeat-schedule")]
    received: list[int] = []
    with connected(location) as session:
        check_imports(session)
        with deferred():
            process, write_end = spawn(session, *options)
            with forwarded(lambda number: _forward(number, process, received)):
                status = process.wait()
            os.close(write_end)
    if status and not received:
        raise typer.Exit(128 - status if status < 0 else status)


def _forward(number: int, process: subprocess.Popen[bytes], received: list[int]) -> None:
    """Forward Ctrl-C to the worker, and SIGHUP as SIGTERM, because Celery restarts on SIGHUP."""
    received.append(number)
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
