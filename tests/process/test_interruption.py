"""Signals end the function of a call; they end neither a commit nor another task of the same process."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery import Celery
from redis import Redis

from tests.process.jobs import Jobs
from tests.process.polling import assert_sound, calls
from tests.processes import wait_until

pytestmark = [pytest.mark.process, pytest.mark.slow]

APP = "tests.apps.interrupted"


def flow_of(function: str) -> str:
    return (
        "version: v1\ntype: flow\nsteps:\n"
        f'  - {{type: task, name: Only, resourceArn: "acs:fc:::services/jobs/functions/{function}"}}\n'
    )


def test_a_task_of_the_app_is_not_terminated_in_place_of_a_call(jobs: Jobs) -> None:
    """The call returns, and the next task of its process could start, while the worker is about to terminate it."""
    jobs.client.deploy_text(flow_of("status"), "once")
    worker = jobs.worker("-c", "1", app=APP)
    with Redis.from_url(jobs.url, decode_responses=True) as client, Celery(broker=jobs.url) as app:
        execution = jobs.client.start("once", {"tries": 0, "release": "test:release"})
        jobs.until(execution, "TaskStarted", "Only")
        app.send_task("own.task")
        worker.wait_for_output("Task own.task[")
        execution.stop("Cancelled", "by hand")
        wait_until(lambda: client.exists("test:terminating"), "termination")
        client.set("test:release", 1)
        worker.wait_for_output("terminated a call that can no longer commit")
        wait_until(lambda: client.exists("test:own"), "start of the task")
        client.set("test:end", 1)
        wait_until(lambda: client.lrange("test:own", 0, -1) == ["started", "ended"], "end of the task")
    assert worker.process.poll() is None


def test_a_soft_time_limit_during_a_commit_does_not_lose_the_result(jobs: Jobs) -> None:
    jobs.client.deploy_text(flow_of("slow"), "once")
    worker = jobs.worker("-c", "1", task_soft_time_limit=8)
    execution = jobs.client.start("once", {"seconds": 4})
    wait_until(lambda: calls(jobs.url), "the call")
    with Redis.from_url(jobs.url) as client:
        client.config_set("maxmemory", 1_000_000)
        worker.wait_for_output("Redis is full (maxmemory)")
        worker.wait_for_output("Soft time limit (8s) exceeded")
        client.config_set("maxmemory", 0)
    assert execution.wait(20).error is None
    assert len(calls(jobs.url)) == 1
    assert_sound(execution)
    # The next task has a time limit of its own, and its function is interrupted.
    interrupted = jobs.client.start("once", {"seconds": 300})
    assert interrupted.wait(30).error == "SoftTimeLimitExceeded"


def test_a_process_that_is_terminated_during_a_commit_commits_before_it_ends(jobs: Jobs) -> None:
    jobs.client.deploy_text(flow_of("terminated"), "once")
    worker = jobs.worker("-c", "1", app=APP)
    execution = jobs.client.start("once").wait(30)
    assert execution.status == "Succeeded"
    (call,) = calls(jobs.url)
    wait_until(lambda: not Path(f"/proc/{call['pid']}").exists(), "the end of the process")
    assert jobs.client.start("polling", {"wait": 0.1}).wait(20).status == "Succeeded"
    assert worker.process.poll() is None
    assert_sound(execution)


def test_a_function_that_blocks_the_signal_is_killed(jobs: Jobs) -> None:
    jobs.client.deploy_text(flow_of("stubborn"), "once")
    worker = jobs.worker("-c", "1", app=APP, pollflow_sweep_interval=0.2)
    execution = jobs.client.start("once")
    jobs.until(execution, "TaskStarted", "Only")
    wait_until(lambda: calls(jobs.url), "the call")
    execution.stop("Cancelled", "by hand")
    worker.wait_for_output("terminated a call that can no longer commit")
    worker.wait_for_output("killed a call that did not end")
    assert jobs.client.start("polling", {"wait": 0.1}).wait(30).status == "Succeeded"
    assert worker.process.poll() is None
    assert execution.refresh().status == "Stopped"
