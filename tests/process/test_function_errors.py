"""Exceptions of functions, and exceptions by which Celery stops a call, in real workers."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from pollflow import Execution
from tests.process.jobs import Jobs
from tests.process.polling import calls
from tests.processes import wait_until

pytestmark = pytest.mark.process

ERRORS = {
    "exit": "SystemExit",
    "cancelled": "CancelledError",
    "generator exit": "GeneratorExit",
    "other redis": "StoreUnavailable",
}


def flow_of(function: str) -> str:
    step = {"type": "task", "name": "Call", "resourceArn": f"acs:fc:::services/jobs/functions/{function}"}
    return json.dumps({"version": "v1", "type": "flow", "steps": [step]})


def start(jobs: Jobs, function: str, input: dict[str, Any]) -> Execution:
    jobs.client.deploy_text(flow_of(function), function)
    return jobs.client.start(function, input)


@pytest.mark.promise
@pytest.mark.parametrize("pool", ["prefork", pytest.param("threads", marks=pytest.mark.slow), "solo"])
def test_what_a_function_raises_is_its_error_and_ends_no_worker(jobs: Jobs, pool: str) -> None:
    worker = jobs.worker("-P", pool, "-c", "1")
    executions = {error: start(jobs, "raise", {"error": error}) for error in ERRORS}
    ended = {error: execution.wait(60) for error, execution in executions.items()}
    assert {error: execution.error for error, execution in ended.items()} == ERRORS
    assert len(calls(jobs.url)) == len(ERRORS)
    assert worker.process.poll() is None
    frames = [event.detail["traceback"] for event in ended["exit"].history() if event.type == "TaskFailed"]
    assert frames[0][0].startswith("tests/apps/jobs.py:") and frames[0][0].endswith(" in raise_")


def test_a_soft_time_limit_is_the_error_of_the_step(jobs: Jobs) -> None:
    jobs.worker("-c", "1", task_soft_time_limit=1)
    execution = start(jobs, "slow", {"seconds": 300}).wait(60)
    assert (execution.error, len(calls(jobs.url))) == ("SoftTimeLimitExceeded", 1)


@pytest.mark.parametrize("wait", [0, 1])
def test_a_hard_time_limit_is_named_by_the_error(jobs: Jobs, wait: int) -> None:
    """After a wait the call runs in the Celery task that ended the wait."""
    jobs.worker("-c", "1", task_time_limit=1, pollflow_max_crashes=2)
    steps = [{"type": "wait", "name": "Wait", "duration": wait}] * wait + json.loads(flow_of("slow"))["steps"]
    jobs.client.deploy_text(json.dumps({"version": "v1", "type": "flow", "steps": steps}), "limited")
    execution = jobs.client.start("limited", {"seconds": 300}).wait(90)
    assert (execution.error, execution.cause) == (
        "FC.Unknown",
        "the process of the call ended 2 times before it returned; "
        "the last call was ended by Celery's hard time limit of 1 s",
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1])
def test_a_call_whose_process_is_terminated_is_made_again(jobs: Jobs, number: int) -> None:
    """SIGUSR1 is the signal of Celery's soft time limit, so the function's exception is the error of the step."""
    worker = jobs.worker("-c", "1")
    execution = start(jobs, "slow", {"seconds": 300})
    wait_until(lambda: calls(jobs.url), "call", 60)
    os.kill(calls(jobs.url)[0]["pid"], number)
    if number == signal.SIGUSR1:
        assert execution.wait(60).error == "SoftTimeLimitExceeded"
        return
    wait_until(lambda: len(calls(jobs.url)) == 2, "second call", 60)
    assert execution.refresh().status == "Running"
    assert worker.process.poll() is None
