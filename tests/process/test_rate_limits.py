"""Rate limits of Celery on step tasks delay steps, and make no duplicates."""

from __future__ import annotations

import pytest
from celery import Celery

from pollflow import Execution
from tests.process.jobs import Jobs
from tests.process.polling import SOON, calls
from tests.processes import Started, wait_until

pytestmark = [pytest.mark.process, pytest.mark.slow]

FLOW = """
version: v1
type: flow
steps:
  - {type: task, name: Echo, resourceArn: "acs:fc:::services/jobs/functions/echo"}
"""
LIMIT = {"pollflow.task": {"rate_limit": "10/m"}}
"""One step in six seconds, which is longer than the redelivery timeout."""
PATIENT = {"pollflow_redelivery_timeout": 4.0}
"""A busy machine may take seconds to postpone a message for the first time."""


def start(jobs: Jobs, count: int) -> list[Execution]:
    jobs.client.deploy_text(FLOW, "flow")
    return [jobs.client.start("flow", {}) for _ in range(count)]


def received(worker: Started) -> int:
    """Return the number of messages that a worker has received."""
    return sum(line.endswith("received") for line in worker.output().splitlines())


def test_a_message_that_waits_for_its_rate_limit_is_published_once(jobs: Jobs) -> None:
    worker = jobs.worker(task_annotations=LIMIT, **PATIENT)
    for execution in start(jobs, 3):
        assert execution.wait(60).status == "Succeeded"
    assert (received(worker), len(calls(jobs.url))) == (3, 3)


def test_a_rate_limit_that_is_set_at_run_time_makes_no_duplicates(jobs: Jobs) -> None:
    worker = jobs.worker(**PATIENT)
    with Celery(broker=jobs.url) as app:
        (reply,) = app.control.rate_limit("pollflow.task", "10/m", reply=True, timeout=SOON)
    assert "ok" in str(reply)
    for execution in start(jobs, 3):
        assert execution.wait(60).status == "Succeeded"
    assert received(worker) == 3


def test_a_limit_that_is_lifted_at_run_time_holds_no_message_back(jobs: Jobs) -> None:
    """Celery keeps the messages in their old bucket, where they wait for an hour."""
    worker = jobs.worker(task_annotations={"pollflow.task": {"rate_limit": "1/h"}})
    executions = start(jobs, 2)
    wait_until(lambda: received(worker) == 2 and calls(jobs.url), "both messages in the worker")
    with Celery(broker=jobs.url) as app:
        (reply,) = app.control.rate_limit("pollflow.task", 0, reply=True, timeout=SOON)
    assert "ok" in str(reply)
    for execution in executions:
        assert execution.wait(60).status == "Succeeded"
    assert len(calls(jobs.url)) == 2


def test_messages_that_wait_in_a_killed_worker_run_on_another_one(jobs: Jobs) -> None:
    limited = jobs.worker(task_annotations={"pollflow.task": {"rate_limit": "1/h"}})
    executions = start(jobs, 4)
    wait_until(lambda: received(limited) == 4, "all messages in the worker")
    wait_until(lambda: len(calls(jobs.url)) == 1, "the first call")
    limited.kill_group()
    jobs.worker(name="worker2")
    for execution in executions:
        assert execution.wait(60).status == "Succeeded"
    assert len(calls(jobs.url)) == 4
