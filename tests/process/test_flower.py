"""The REST API of Flower shows flow, execution, step, attempt and parent of each message."""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.process.jobs import Jobs
from tests.processes import wait_until
from tests.servers import free_port
from tests.workers import PROJECT

pytestmark = pytest.mark.process


def test_flower_shows_flow_execution_step_attempt_and_parent(jobs: Jobs) -> None:
    port = free_port()
    jobs.processes.start(
        "flower",
        [sys.executable, "-m", "celery", "-A", "tests.apps.jobs", "flower", "--address=127.0.0.1", f"--port={port}"],
        cwd=PROJECT,
        env={"FLOWER_UNAUTHENTICATED_API": "true"},
    )

    def ask(path: str) -> Any:
        try:
            with urlopen(f"http://127.0.0.1:{port}/api/{path}", timeout=5) as answer:
                return json.load(answer)
        except (URLError, ConnectionError):
            return None

    wait_until(lambda: ask("tasks") is not None, "reply from Flower")
    jobs.worker("-E")
    wait_until(lambda: ask("workers?refresh=1"), "worker in Flower")
    execution = jobs.client.start("polling", {"wait": 1, "done_at": 2, "password": "hunter2"}, name="mine").wait(30)
    wait_until(lambda: "pollflow.succeed" in {row["name"] for row in ask("tasks").values()}, "last step in Flower")
    wait_until(lambda: {row["state"] for row in ask("tasks").values()} == {"SUCCESS"}, "success of all rows")
    rows = {row["uuid"]: row for row in ask("tasks").values()}
    shown = [(row["name"], row["args"]) for row in sorted(rows.values(), key=lambda row: row["received"])]
    assert shown == [
        ("pollflow.task", "('polling', 'mine', 'Start', 'visit 1', 'attempt 1')"),
        ("pollflow.wait", "('polling', 'mine', 'Wait', 'visit 1', 'attempt 1')"),
        ("pollflow.task", "('polling', 'mine', 'Status', 'visit 1', 'attempt 1')"),
        ("pollflow.choice", "('polling', 'mine', 'Check', 'visit 1', 'attempt 1')"),
        ("pollflow.wait", "('polling', 'mine', 'Wait', 'visit 2', 'attempt 1')"),
        ("pollflow.task", "('polling', 'mine', 'Status', 'visit 2', 'attempt 1')"),
        ("pollflow.choice", "('polling', 'mine', 'Check', 'visit 2', 'attempt 1')"),
        ("pollflow.succeed", "('polling', 'mine', 'Done', 'visit 1', 'attempt 1')"),
    ]
    assert {row["root_id"] for row in rows.values()} == {execution.id}
    assert sum(row["eta"] is not None for row in rows.values()) == 2
    assert "hunter2" not in json.dumps(rows)
    ids = [row["uuid"] for row in sorted(rows.values(), key=lambda row: row["received"])]
    infos = [ask(f"task/info/{identity}") for identity in ids]
    assert [info["parent_id"] for info in infos] == [None, *ids[:-1]]
