"""The REST API of Flower shows which step each row is, and what it led to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from pollflow.runtime.routes import DEFAULT_QUEUE
from pollflow.server import EmbeddedServer
from pollflow.store import RedisLocation
from tests.process.flower import Flower
from tests.process.jobs import Jobs
from tests.process.polling import SOON, calls
from tests.processes import Processes, wait_until

pytestmark = pytest.mark.process

FAILING = """
version: v1
type: flow
steps:
  - type: task
    name: Fetch
    resourceArn: acs:fc:::services/jobs/functions/fail
    retry: [{errors: [Busy], intervalSeconds: 1, maxAttempts: 3}]
    catch: [{errors: [Missing], goto: Report}]
  - {type: succeed, name: Done}
  - type: task
    name: Report
    resourceArn: acs:fc:::services/jobs/functions/echo
"""
BRANCH = """
version: v1
type: flow
steps:
  - type: parallel
    name: Both
    branches:
      - steps: [{type: fail, name: Refuse, error: Refused, cause: not today}]
      - steps: [{type: wait, name: Right, duration: 1000}]
"""
SLOW = """
version: v1
type: flow
steps:
  - {type: task, name: Slow, resourceArn: "acs:fc:::services/jobs/functions/slow"}
"""
WAIT_AND_FAIL = """
version: v1
type: flow
steps:
  - {type: wait, name: Wait, duration: 1}
  - {type: task, name: Fetch, resourceArn: "acs:fc:::services/jobs/functions/fail"}
"""


@pytest.fixture
def flower(jobs: Jobs) -> Flower:
    return Flower.start(jobs)


def start(jobs: Jobs, flow: str, input: dict[str, Any]) -> Any:
    jobs.client.deploy_text(flow, "flow")
    return jobs.client.start("flow", input, name="x")


def until_row(flower: Flower, step: str, state: str, attempt: int = 1) -> dict[str, Any]:
    """Wait until the row of a step's attempt has the state. Return the row."""

    def has_state() -> bool:
        row = flower.row(step, attempt)
        return row is not None and row["state"] == state

    wait_until(has_state, f"{state} of {step}")
    row = flower.row(step, attempt)
    assert row is not None
    return row


def test_flower_shows_flow_execution_step_visit_attempt_and_parent(jobs: Jobs, flower: Flower) -> None:
    jobs.worker("-E")
    flower.await_worker()
    execution = jobs.client.start("polling", {"wait": 1, "done_at": 2, "password": "hunter2"}, name="mine").wait(30)
    wait_until(lambda: "pollflow.succeed polling/Done" in {row["name"] for row in flower.rows()}, "last step in Flower")
    wait_until(lambda: {row["state"] for row in flower.rows()} == {"SUCCESS"}, "success of all rows")
    rows = flower.rows()
    assert [(row["name"], row["args"], row["result"]) for row in rows] == [
        ("pollflow.task polling/Start", "('polling', 'mine', 'Start', 'visit 1', 'attempt 1')", "'waits 1 s'"),
        ("pollflow.task polling/Status", "('polling', 'mine', 'Status', 'visit 1', 'attempt 1')", "'next: Check'"),
        ("pollflow.choice polling/Check", "('polling', 'mine', 'Check', 'visit 1', 'attempt 1')", "'waits 1 s'"),
        ("pollflow.task polling/Status", "('polling', 'mine', 'Status', 'visit 2', 'attempt 1')", "'next: Check'"),
        ("pollflow.choice polling/Check", "('polling', 'mine', 'Check', 'visit 2', 'attempt 1')", "'next: Done'"),
        (
            "pollflow.succeed polling/Done",
            "('polling', 'mine', 'Done', 'visit 1', 'attempt 1')",
            "'the execution succeeded'",
        ),
    ]
    assert {row["root_id"] for row in rows} == {execution.id}
    assert sum(row["eta"] is not None for row in rows) == 2
    assert "hunter2" not in json.dumps(rows)
    ids = [row["uuid"] for row in rows]
    infos = [flower.ask(f"task/info/{identity}") for identity in ids]
    assert [info["parent_id"] for info in infos] == [None, *ids[:-1]]


def test_a_failed_call_that_is_retried_is_retry(jobs: Jobs, flower: Flower) -> None:
    jobs.worker("-E")
    flower.await_worker()
    start(jobs, FAILING, {"error": "Busy", "succeeds_at": 2})
    row = until_row(flower, "Fetch", "RETRY")
    assert row["exception"] == "StepError('Busy: no such bucket')"
    assert until_row(flower, "Fetch", "SUCCESS", attempt=2)["result"] == "'next: Done'"


def test_a_failed_call_that_is_caught_is_success(jobs: Jobs, flower: Flower) -> None:
    jobs.worker("-E")
    flower.await_worker()
    start(jobs, FAILING, {"error": "Missing"})
    assert until_row(flower, "Fetch", "SUCCESS")["result"] == "'caught Missing; next: Report'"
    until_row(flower, "Report", "SUCCESS")
    assert flower.ask("tasks?state=FAILURE") == {}


@pytest.mark.parametrize(
    ("flow", "step", "exception"),
    [
        (FAILING, "Fetch", "StepError('Broken: no such bucket')"),
        (WAIT_AND_FAIL, "Fetch", "StepError('Broken: no such bucket')"),
        (BRANCH, "Refuse", "StepError('Refused: not today')"),
    ],
)
def test_a_step_that_ends_the_execution_as_failed_is_failure(
    jobs: Jobs, flower: Flower, flow: str, step: str, exception: str
) -> None:
    jobs.worker("-E")
    flower.await_worker()
    start(jobs, flow, {"error": "Broken"})
    assert until_row(flower, step, "FAILURE")["exception"] == exception
    assert list(flower.ask("tasks?state=FAILURE")) == [flower.row(step)["uuid"]]  # type: ignore[index]
    assert "raised expected: " + exception in jobs.log()
    assert "Traceback" not in jobs.log()


def test_a_running_call_that_a_stop_ended_is_revoked(jobs: Jobs, flower: Flower) -> None:
    jobs.worker("-E")
    flower.await_worker()
    execution = start(jobs, SLOW, {"seconds": 300})
    until_row(flower, "Slow", "STARTED")
    wait_until(lambda: calls(jobs.url), "the call")
    execution.stop()
    until_row(flower, "Slow", "REVOKED")


def test_a_stale_duplicate_is_success_and_says_so(jobs: Jobs, flower: Flower) -> None:
    jobs.register()
    execution = start(jobs, SLOW, {"seconds": 0})
    with Redis.from_url(jobs.url, decode_responses=True) as client:
        message = json.loads(client.lindex(DEFAULT_QUEUE, 0))
        message["headers"]["id"] += "~2"
        message["properties"]["delivery_tag"] = "duplicate"
        client.lpush(DEFAULT_QUEUE, json.dumps(message))
    jobs.worker("-E", "-P", "solo")
    flower.await_worker()
    execution.wait(SOON)
    wait_until(lambda: [row["state"] for row in flower.rows()] == ["SUCCESS", "SUCCESS"], "success of both rows")
    assert [row["result"] for row in flower.rows()] == [
        "'the execution succeeded'",
        "'ignored: a stale or duplicate message (stale)'",
    ]


@pytest.mark.parametrize("terminate", [False, True])
def test_a_revoked_message_that_is_queued_is_replaced_within_seconds(jobs: Jobs, terminate: bool) -> None:
    jobs.worker()
    execution = jobs.client.start("polling", {"wait": 4, "done_at": 1})
    jobs.until(execution, "StepStarted", "Wait")
    with Celery(broker=jobs.url) as app:
        app.control.revoke(f"{execution.id}-r.3", terminate=terminate)
    assert execution.wait(30).status == "Succeeded"
    assert f"Discarding revoked task: pollflow.task polling/Status[{execution.id}-r.3]" in jobs.log()
    assert f"{execution.id}-r.3~2" in jobs.log()


def test_a_running_call_that_is_terminated_is_called_again(jobs: Jobs, flower: Flower) -> None:
    jobs.worker("-E")
    flower.await_worker()
    execution = jobs.client.start("polling", {"wait": 0.1, "done_at": 1, "block": 300}, name="x")
    row = until_row(flower, "Status", "STARTED")
    # A task that is terminated before it calls its function would make its first call later, which blocks.
    jobs.until_called(execution, "Status")
    with Celery(broker=jobs.url) as app:
        app.control.revoke(row["uuid"], terminate=True)
    assert execution.wait(30).status == "Succeeded"
    wait_until(lambda: flower.ask(f"task/info/{row['uuid']}")["state"] == "REVOKED", "revoked row")
    again = until_row(flower, "Status", "SUCCESS")
    assert (again["uuid"], again["root_id"]) == (f"{row['uuid']}~2", execution.id)


@pytest.fixture
def socket_jobs(tmp_path: Path, processes: Processes) -> Iterator[Jobs]:
    """Return the jobs of the embedded server, which listens on a unix socket only."""
    server = EmbeddedServer(tmp_path / "redis")
    server.start()
    jobs = Jobs(server.url, processes)
    yield jobs
    jobs.client.close()
    processes.end_all()
    server.stop()


def test_flower_and_remote_control_reach_workers_of_the_embedded_server(socket_jobs: Jobs) -> None:
    jobs, location = socket_jobs, RedisLocation.parse(socket_jobs.url)
    jobs.worker("-E")
    flower = Flower.start(jobs)
    flower.await_worker()
    execution = start(jobs, SLOW, {"seconds": 300})
    row = until_row(flower, "Slow", "STARTED")
    wait_until(lambda: calls(jobs.url), "the call")
    with Celery(broker=location.broker_url()) as app:
        assert [*(app.control.inspect(timeout=10).ping() or {}).values()] == [{"ok": "pong"}]
    assert flower.ask("queues/length")["active_queues"][0]["messages"] == 0
    execution.stop()
    until_row(flower, "Slow", "REVOKED")
    assert row["uuid"].startswith(execution.id)
    output = "".join(path.read_text(errors="replace") for path in jobs.processes.folder.glob("*.log"))
    assert f"redis+socket://:**@{location.path}" in output
    assert (location.password or "none") not in output
