"""Workers that run `tests.apps.jobs`, and a client."""

from __future__ import annotations

import json
import time
from typing import Any

from pollflow import Client, Execution
from tests.process.polling import FLOW, calls
from tests.processes import Processes, Started, wait_until
from tests.workers import PROJECT, Workers


class Jobs:
    """The workers of the test app, and a client."""

    def __init__(self, url: str, processes: Processes) -> None:
        self.url = url
        self.processes = processes
        processes.env["POLLFLOW_REDIS_URL"] = url
        self.workers = Workers(processes, PROJECT)
        self.client = Client(url)
        self.client.deploy_text(FLOW, "polling")

    def worker(self, *options: str, name: str = "worker", app: str = "tests.apps.jobs", **conf: object) -> Started:
        return self.workers.start(*options, app=app, env={"POLLFLOW_TEST_CONF": json.dumps(conf)}, name=name)

    def register(self) -> None:
        """Let a worker register the queues and end, so that starts publish their messages at once."""
        self.worker("-Q", "unused", name="first").stop()

    def until(self, execution: Execution, type: str, step: str, count: int = 1, timeout: float = 20) -> None:
        """Wait until the history has `count` events of a type and step."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = [e for e in execution.history() if e.type == type and e.step == step]
            if len(found) >= count:
                return
            time.sleep(0.02)
        raise AssertionError(f"no {type} of {step} within {timeout} s: {execution.history()}")

    def until_called(self, execution: Execution, step: str) -> dict[str, Any]:
        """Wait until the function of a step has recorded its first call, and return that call.

        The event TaskStarted is older: a worker that is stopped at that event may not have called the function yet.
        """
        found: list[dict[str, Any]] = []

        def is_called() -> bool:
            found.extend(call for call in calls(self.url) if call["key"].startswith(f"{execution.id}/{step}/"))
            return bool(found)

        wait_until(is_called, f"call of {step}")
        return found[0]

    def log(self) -> str:
        """Return the output of all workers."""
        return "".join(path.read_text(errors="replace") for path in self.processes.folder.glob("worker*.log"))
