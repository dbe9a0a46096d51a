"""The worker that a command starts beside itself: an ordinary Celery worker, which ends with the command."""

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

from pollflow.cli import parent_watch, registered
from pollflow.cli.exits import REFUSED, CommandError
from pollflow.cli.interruptions import deferred
from pollflow.cli.session import APP_FILE, ENVIRONMENT, Session
from pollflow.server.folders import private_folder

READY = " ready."
"""What Celery logs when a worker consumes; its functions are written down by then."""
START_SECONDS = 60.0
STOP_SECONDS = 10.0
"""A function that takes longer is called again by the next worker, under the same idempotency key."""
LOG_BYTES = 5_000_000
TAIL_LINES = 12


@dataclass(slots=True)
class Worker:
    """A worker process, leader of a process group of its own. What it logs begins at `log_start` of its log."""

    process: subprocess.Popen[bytes]
    log: Path
    log_start: int
    parent_watch: int
    started_at: float

    def check(self) -> None:
        """Raises NotDone, with the end of its log, if it has ended."""
        status = self.process.poll()
        if status is not None:
            raise CommandError(f"the worker has ended (status {status}); {self._tail()}")

    def is_ready(self) -> bool:
        """Whether it consumes messages. Raises NotDone if it has ended."""
        self.check()
        return READY in self._logged()

    def wait_until_ready(self) -> None:
        """Waits until it consumes messages. Raises NotDone if it ends, or does not come up."""
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if time.monotonic() > deadline:
                raise CommandError(
                    f"the worker is not ready after {START_SECONDS:g} s; if {APP_FILE} names a broker of its own, "
                    f"can that be reached? See {self._tail()}"
                )
            time.sleep(0.02)

    def seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self.started_at

    def kill(self) -> None:
        """Ends the whole group at once, in the middle of whatever it does."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Lets it finish what it runs, for a while; then ends the whole group."""
        with deferred():
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
            self.kill()
            with suppress(OSError):
                os.close(self.parent_watch)

    def _logged(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self.log_start)
            return log.read().decode(errors="replace")

    def _tail(self) -> str:
        lines = [line for line in self._logged().splitlines() if line.strip()][-TAIL_LINES:]
        return "\n".join([f"the end of {shown(self.log)}:", *(f"  {line}" for line in lines)])


@contextmanager
def working(session: Session, concurrency: int = 2) -> Iterator[Worker]:
    """A worker of the project, for the length of the block. Raises NotDone where there is no `worker.py`."""
    worker: Worker | None = None
    try:
        with deferred():
            worker = start_worker(session, concurrency)
        yield worker
    finally:
        if worker is not None:
            worker.stop()


def start_worker(session: Session, concurrency: int = 2) -> Worker:
    """Starts a worker; whoever does so has to stop it."""
    project = session.location.project
    check_project(project)
    log = _log_of(project)
    name = f"run-{os.getpid()}-{time.monotonic_ns() % 1_000_000}@%h"
    options = ("--concurrency", str(concurrency), "--pool", "prefork", "--loglevel", "INFO", "--hostname", name)
    with log.open("ab") as output:
        begin = output.tell()
        process, write_end = spawn(session, *options, "--without-mingle", "--without-gossip", output=output)
    return Worker(process, log, begin, write_end, time.monotonic())


def spawn(session: Session, *options: str, output: IO[bytes] | None = None) -> tuple[subprocess.Popen[bytes], int]:
    """Starts Celery's worker on the project's `worker.py`, and the descriptor that it lives as long as.

    It leads a session of its own: Ctrl-C in the terminal is for the command, which then ends the worker.
    """
    read_end, write_end = os.pipe()
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        Path(APP_FILE).stem,
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
            stdout=output,
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
    return {**os.environ, ENVIRONMENT: session.url, "PYTHONUNBUFFERED": "1", **session.worker_environment}


def check_project(project: Path, *, needs_worker: bool = False) -> None:
    """Raises NotDone, with the ways out, where no worker can be started. `needs_worker`: none may be left out."""
    if (project / APP_FILE).is_file():
        return
    ways = ["  pollflow init DIR     writes a project to start from", "  --project DIR         names the folder of one"]
    if not needs_worker:
        ways.append("  --no-worker           leaves the work to workers that run already")
    told = f"there is no {APP_FILE} in {shown(project)} or above it, so no worker can be started"
    raise CommandError("\n".join([told, *ways]))


def check_imports(session: Session) -> None:
    """Raises NotDone, in a line, if the project's app cannot be imported: Celery would take a screenful to say so."""
    imported = subprocess.run(  # noqa: S603 - our own module, on the project's own app
        [sys.executable, "-c", f"from {registered.__name__} import main; main()"],
        cwd=session.location.project,
        env=_environment(session),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if imported.returncode == REFUSED:
        raise CommandError(imported.stderr.strip())


def shown(path: Path) -> str:
    """A path as people say it in the current folder."""
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _log_of(project: Path) -> Path:
    log = private_folder(project) / "worker.log"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    return log
