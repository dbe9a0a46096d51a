"""Flower beside the workers of a test, asked over its REST API."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from tests.process.jobs import Jobs
from tests.processes import wait_until
from tests.servers import free_port
from tests.workers import PROJECT


@dataclass(frozen=True)
class Flower:
    """A running Flower."""

    port: int

    @classmethod
    def start(cls, jobs: Jobs) -> Flower:
        """Start Flower on the test app."""
        port = free_port()
        jobs.processes.start(
            "flower",
            [
                *(sys.executable, "-m", "celery", "-A", "tests.apps.jobs", "flower"),
                *("--address=127.0.0.1", f"--port={port}"),
            ],
            cwd=PROJECT,
            env={"FLOWER_UNAUTHENTICATED_API": "true"},
        )
        flower = cls(port)
        wait_until(lambda: flower.ask("tasks") is not None, "reply from Flower")
        return flower

    def ask(self, path: str) -> Any:
        """Return the reply of the API, or None if there is none."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/api/{path}", timeout=5) as answer:
                return json.load(answer)
        except (URLError, ConnectionError):
            return None

    def await_worker(self) -> None:
        """Wait until Flower shows a worker."""
        wait_until(lambda: self.ask("workers?refresh=1"), "worker in Flower")

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of all tasks in the order in which they were received."""
        rows: list[dict[str, Any]] = list(self.ask("tasks").values())
        return sorted(rows, key=lambda row: row["received"] or row["timestamp"])

    def row(self, step: str, attempt: int = 1, execution: str = "x") -> dict[str, Any] | None:
        """Return the last row of a step's attempt, or None."""
        found = [row for row in self.rows() if f"'{execution}', '{step}'" in (row["args"] or "")]
        found = [row for row in found if f"'attempt {attempt}'" in row["args"]]
        return found[-1] if found else None
