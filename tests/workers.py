"""Celery workers and beats that tests may kill."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.processes import Processes, Started

PROJECT = Path(__file__).parent.parent


class Workers:
    """Start `celery -A APP worker` and `celery -A APP beat`, and wait until they are ready.

    They run in the folder of the reference application unless another is given. All of them end after the test. A
    process that outlives its worker fails the test.
    """

    def __init__(self, processes: Processes, folder: Path = PROJECT) -> None:
        self._processes = processes
        self._folder = folder

    def start(
        self,
        *options: str,
        app: str = "worker",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        name: str = "worker",
    ) -> Started:
        """Start a worker, with two pool processes unless the options say otherwise, and wait until it is ready."""
        if not any(option.startswith(("-c", "--concurrency", "-P", "--pool")) for option in options):
            options = ("-c", "2", *options)
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-l", "INFO", "-n", f"{name}@%h", *options]
        worker = self._processes.start(name, command, cwd=cwd or self._folder, env=env)
        worker.wait_for_output(" ready.")
        return worker

    def beat(
        self, *options: str, app: str = "worker", cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Started:
        """Start a beat with its schedule file outside the project, and wait until it runs."""
        number = len(list(self._processes.folder.glob("beat*.log")))
        schedule = self._processes.folder / f"schedule-{number}"
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            app,
            "beat",
            "-l",
            "INFO",
            "-s",
            schedule,
            *options,
        ]
        beat = self._processes.start("beat", command, cwd=cwd or self._folder, env=env)
        beat.wait_for_output("beat: Starting...")
        return beat
