"""`pollflow worker`: a Celery worker of the project in the foreground."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Annotated

import typer

from pollflow.cli.exits import CommandError
from pollflow.cli.interruptions import deferred, forwarded
from pollflow.cli.options import ProjectFolder, RedisUrl
from pollflow.cli.output import write_line
from pollflow.cli.project_app import import_included
from pollflow.cli.session import ENVIRONMENT, Session, connected, find_location
from pollflow.cli.workers import app_of, spawn
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

    The same as `celery -A APP worker` in the project's folder. If no Redis is configured, the command starts the
    embedded server of the project, which the other commands then use. If Redis cannot be reached, the worker keeps
    retrying. After a second Ctrl-C the worker does not wait for running functions; another worker calls them again
    under the same idempotency keys. Exit status: 0 after a requested stop, 2 if the worker could not start, otherwise
    the status of Celery.
    """
    location = find_location(redis, project)
    name = app_of(location)
    options = ["--concurrency", str(concurrency), "--loglevel", loglevel.upper()]
    received: list[int] = []
    with connected(location, starts_server=True) as session:
        _check_broker(session)
        if session.app is not None:
            import_included(session.app.app, name)  # Celery would print a long traceback
        if beat:
            options += _beat_options(session)
        write_line(str(session), is_error=True)
        with deferred():
            process, write_end = spawn(session, *options)
            with forwarded(lambda number: _forward(number, process, received)):
                status = process.wait()
            os.close(write_end)
    if status and not received:
        raise typer.Exit(128 - status if status < 0 else status)


def _beat_options(session: Session) -> list[str]:
    options = ["--beat", "--schedule", str(private_folder(session.location.project) / "celerybeat-schedule")]
    from pollflow.cli import beat  # imports Celery

    if session.app is not None and session.app.app.conf.beat_scheduler == beat.DEFAULT:
        options += ["--scheduler", f"{beat.__name__}:{beat.PrivateScheduler.__name__}"]
    return options


def _check_broker(session: Session) -> None:
    """Raise CommandError if the worker would take the messages of workers that keep their state elsewhere."""
    app, location = session.app, session.location
    if app is None or app.container.routes.in_script or not location.redis_option or location.is_isolated:
        return
    if app.broker.is_redis:
        broker = app.broker.location or app.broker.description
        raise CommandError(
            f"the broker of the app {location.app} is {broker}, but --redis names "
            f"{app.location}: the worker would take the messages of the app's other workers\n"
            "  --isolated            use a queue and keys of its own on that Redis\n"
            f"  {ENVIRONMENT}    set it for all workers of the app, if their state is there"
        )


def _forward(number: int, process: subprocess.Popen[bytes], received: list[int]) -> None:
    """Forward Ctrl-C to the worker, and SIGHUP as SIGTERM, because Celery restarts on SIGHUP."""
    received.append(number)
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
