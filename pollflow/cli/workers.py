"""Workers that a command starts: ordinary Celery workers, which stop with the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pollflow.cli import parent_watch
from pollflow.cli.exits import CommandError
from pollflow.cli.interruptions import deferred, is_repeated
from pollflow.cli.output import write_lines
from pollflow.cli.project_app import APP_FILE, REMEDIES, AppName
from pollflow.cli.session import ProjectLocation, Session
from pollflow.server import private
from pollflow.server.folders import private_folder

READY = " ready."
"""What Celery logs when a worker consumes messages. Its functions are recorded in Redis by then."""
START_SECONDS = 60.0
STOP_SECONDS = 10.0
"""A function that runs longer is killed; the next worker calls it again under the same idempotency key."""
STOPPING = (
    f"interrupted: stopping the worker. Running calls have {STOP_SECONDS:g} s to end; Ctrl-C again kills them.\n"
    "A killed call is repeated under the same idempotency key when a worker runs again."
)
LOG_BYTES = 5_000_000
TAIL_LINES = 12


@dataclass(slots=True)
class Worker:
    """A worker process, the leader of its process group. Its output starts at the offset `log_start` of the log."""

    process: subprocess.Popen[bytes]
    log: Path
    log_start: int
    parent_watch: int
    started_at: float

    def check(self) -> None:
        """Raise CommandError, with the end of the log, if the process has ended."""
        status = self.process.poll()
        if status is not None:
            raise CommandError(f"the worker exited with status {status}; {self._tail()}")

    def is_ready(self) -> bool:
        """Return whether the worker consumes messages. Raises CommandError if it has ended."""
        self.check()
        return READY in self._logged()

    def wait_until_ready(self) -> None:
        """Wait until the worker consumes messages. Raises CommandError if it ends or is not ready in time."""
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if time.monotonic() > deadline:
                raise CommandError(
                    f"the worker is not ready after {START_SECONDS:g} s; check that its broker can be reached; "
                    f"{self._tail()}"
                )
            time.sleep(0.02)

    def seconds(self) -> float:
        """Return the time since the start."""
        return time.monotonic() - self.started_at

    def kill(self) -> None:
        """Kill the process group with SIGKILL."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Stop the worker: a warm shutdown for up to STOP_SECONDS, then SIGKILL for the process group.

        A second Ctrl-C ends the warm shutdown.
        """
        with deferred():
            self.process.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            while self.process.poll() is None and time.monotonic() < deadline and not is_repeated():
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.1)
            self.kill()
            with suppress(OSError):
                os.close(self.parent_watch)

    def _logged(self) -> str:
        with open(self.log, "rb", opener=private.opener) as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace")

    def _tail(self) -> str:
        lines = [line for line in self._logged().splitlines() if line.strip()][-TAIL_LINES:]
        return "\n".join([f"the end of {relative(self.log)}:", *(f"  {line}" for line in lines)])


@contextmanager
def working(session: Session, concurrency: int = 2) -> Iterator[Worker]:
    """Run a worker of the project during the block. Raises CommandError if there is no app."""
    worker: Worker | None = None
    try:
        with deferred():
            worker = start_worker(session, concurrency)
        yield worker
    except KeyboardInterrupt:
        write_lines(STOPPING, is_error=True)
        raise
    finally:
        if worker is not None:
            worker.stop()


def start_worker(session: Session, concurrency: int = 2) -> Worker:
    """Start a worker. The caller stops it."""
    log = _log_of(session.location.project)
    name = f"run-{os.getpid()}-{time.monotonic_ns() % 1_000_000}@%h"
    options = ("--concurrency", str(concurrency), "--pool", "prefork", "--loglevel", "INFO", "--hostname", name)
    with open(log, "ab", opener=private.opener) as output:
        begin = output.tell()
        process, write_end = spawn(session, *options, "--without-mingle", "--without-gossip", output=output)
    return Worker(process, log, begin, write_end, time.monotonic())


def spawn(session: Session, *options: str, output: IO[bytes] | None = None) -> tuple[subprocess.Popen[bytes], int]:
    """Start a Celery worker of the app. Return the process and the descriptor whose closing stops it.

    The worker leads a new session, so Ctrl-C in the terminal reaches only the command, which then stops the worker.
    """
    read_end, write_end = os.pipe()
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        app_of(session.location).name,
        "worker",
        "-I",
        parent_watch.__name__,
        *options,
    ]
    try:
        process = subprocess.Popen(  # noqa: S603 - Celery, on the project's own app
            command,
            cwd=session.location.project,
            env=_environment(session) | {parent_watch.VARIABLE: str(read_end)},
            stdin=subprocess.DEVNULL,
            # The banner of Celery is not for a reader of the output: if it ends, the worker continues.
            stdout=sys.stderr if output is None else output,
            stderr=None if output is None else subprocess.STDOUT,
            pass_fds=(read_end,),
            start_new_session=True,
        )
    except BaseException:
        os.close(write_end)
        raise
    finally:
        os.close(read_end)
    return process, write_end


def _environment(session: Session) -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", **session.worker_environment}


def app_of(location: ProjectLocation) -> AppName:
    """Return the app of the project. Raises CommandError, with remedies, if there is none."""
    if location.app is not None:
        return location.app
    raise CommandError(
        f"no Celery app ({APP_FILE}, or a pyproject.toml that names the app) found in {location.project} or its parent "
        f"folders, so no worker can start\n{REMEDIES}\n  pollflow init DIR     write a new project"
    )


def relative(path: Path) -> str:
    """Return the path relative to the current folder, if it is below it."""
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _log_of(project: Path) -> Path:
    log = private_folder(project) / "worker.log"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log
