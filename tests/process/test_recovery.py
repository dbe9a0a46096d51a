"""Workers, beats and Redis are killed under running executions, and the executions recover."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter

import pytest
from redis import Redis

from pollflow import Execution
from tests.process.jobs import Jobs
from tests.process.polling import FLOW, SOON, assert_sound, calls
from tests.processes import group_members, wait_until
from tests.servers import RedisServer

pytestmark = [pytest.mark.process, pytest.mark.promise]


def late_by(execution: Execution, step: str, wait: float) -> float:
    """Return the seconds from the end of the wait to the next step."""
    history = execution.history()
    begun = next(e.time for e in history if e.type == "StepStarted" and e.step == "Wait")
    entered = next(e.time for e in history if e.type == "StepEntered" and e.step == step)
    return (entered - begun).total_seconds() - wait


def pauses(output: str) -> list[float]:
    """Return the seconds between the attempts of a worker to connect, as it logs them."""
    return [float(seconds) for seconds in re.findall(r"Trying again in ([\d.]+) seconds", output)]


def test_the_polling_flow_runs(jobs: Jobs) -> None:
    jobs.worker()
    execution = jobs.client.start("polling", {"wait": 0.5}).wait(20)
    assert (execution.status, execution.output) == (
        "Succeeded",
        {"job_id": f"job-{execution.name}", "tries": 2, "job_status": "success"},
    )
    assert_sound(execution)


def test_a_worker_killed_in_the_middle_of_a_wait_loses_nothing(jobs: Jobs) -> None:
    first = jobs.worker()
    execution = jobs.client.start("polling", {"wait": 6})
    jobs.until(execution, "StepStarted", "Wait")
    first.kill_group()
    jobs.worker()
    execution = execution.wait(40)
    assert execution.status == "Succeeded"
    assert 0 <= late_by(execution, "Status", 6) < SOON
    assert_sound(execution)


def test_a_call_of_a_killed_worker_is_repeated_under_the_same_key(jobs: Jobs) -> None:
    first = jobs.worker()
    execution = jobs.client.start("polling", {"wait": 0.2, "block": 300})
    jobs.until_called(execution, "Status")
    first.kill_group()
    jobs.worker()
    jobs.until(execution, "TaskStarted", "Status", count=2, timeout=SOON)
    execution = execution.wait(20)
    assert execution.status == "Succeeded"
    assert_sound(execution)
    keys = Counter(call["key"] for call in calls(jobs.url) if call["step"] == "Status")
    assert sorted(keys.values()) == [1, 2]


def test_a_call_of_a_killed_pool_child_is_repeated(jobs: Jobs) -> None:
    jobs.worker()
    execution = jobs.client.start("polling", {"wait": 0.2, "block": 300})
    os.kill(jobs.until_called(execution, "Status")["pid"], signal.SIGKILL)
    execution = execution.wait(30)
    assert execution.status == "Succeeded"
    assert_sound(execution)


def test_executions_continue_after_redis_restarts_from_its_aof(jobs: Jobs, redis_server: RedisServer) -> None:
    worker = jobs.worker()
    execution = jobs.client.start("polling", {"wait": 4, "done_at": 2})
    jobs.until(execution, "StepStarted", "Wait")
    redis_server.restart()
    execution = execution.wait(60)
    assert worker.process.poll() is None
    assert execution.status == "Succeeded"
    assert 0 <= late_by(execution, "Status", 4) < SOON
    assert_sound(execution)


def test_workers_reconnect_soon_after_a_long_redis_outage(jobs: Jobs, redis_server: RedisServer) -> None:
    worker = jobs.worker()
    execution = jobs.client.start("polling", {"wait": 1, "done_at": 2})
    jobs.until(execution, "StepStarted", "Wait")
    redis_server.kill()
    wait_until(lambda: len(pauses(worker.output())) >= 5, "five attempts", timeout=30)
    redis_server.start()
    assert execution.wait(20).status == "Succeeded"
    # Celery by itself would try again after 2, 4, 6... seconds.
    assert max(pauses(worker.output())) <= 2
    assert_sound(execution)


def test_a_killed_beat_stops_nothing(jobs: Jobs) -> None:
    jobs.worker(pollflow_sweep_in_workers=False)
    beat = jobs.workers.beat(app="tests.apps.jobs")
    execution = jobs.client.start("polling", {"wait": 1, "done_at": 3})
    jobs.until(execution, "StepStarted", "Wait")
    beat.kill_group()
    execution = execution.wait(30)
    assert execution.status == "Succeeded"
    assert_sound(execution)


def test_a_wait_longer_than_the_visibility_timeout_fires_once(jobs: Jobs) -> None:
    options = {"visibility_timeout": 5, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
    for _ in range(2):
        jobs.worker(broker_transport_options=options, pollflow_max_countdown=2.5)
    execution = jobs.client.start("polling", {"wait": 30, "done_at": 1})
    execution = execution.wait(60)
    assert execution.status == "Succeeded"
    assert 0 <= late_by(execution, "Status", 30) < SOON
    assert [call["step"] for call in calls(jobs.url)] == ["Start", "Status"]
    assert_sound(execution)


def test_a_function_that_always_kills_its_process_fails_its_step(jobs: Jobs) -> None:
    jobs.client.deploy_text(
        "version: v1\ntype: flow\nsteps:\n"
        '  - {type: task, name: Die, resourceArn: "acs:fc:::services/jobs/functions/die"}\n',
        "poison",
    )
    jobs.worker(pollflow_max_crashes=2)
    execution = jobs.client.start("poison").wait(60)
    assert (execution.status, execution.error) == ("Failed", "FC.Unknown")
    assert len(calls(jobs.url)) == 2
    assert "ended 2 times" in (execution.cause or "")


def test_nothing_is_left_after_a_purge(jobs: Jobs) -> None:
    jobs.worker()
    execution = jobs.client.start("polling", {"wait": 0.1}, name="gone").wait(20)
    execution.purge()
    with Redis.from_url(jobs.url, decode_responses=True) as client:
        assert [key for key in client.scan_iter("pollflow:*") if "gone" in key] == []
        for key in client.scan_iter("pollflow:*"):
            if client.type(key) == "zset":
                assert [member for member in client.zrange(key, 0, -1) if "gone" in member] == []


def test_stopping_an_execution_ends_its_call_but_not_the_worker(jobs: Jobs) -> None:
    jobs.worker("-c", "1")
    execution = jobs.client.start("polling", {"wait": 0.1, "block": 300})
    jobs.until_called(execution, "Status")
    execution = execution.stop("Cancelled", "by hand")
    after = jobs.client.start("polling", {"wait": 0.1}).wait(20)
    assert after.status == "Succeeded"
    assert (execution.status, execution.error, execution.cause) == ("Stopped", "Cancelled", "by hand")


def test_a_call_that_exceeds_its_timeout_is_ended_and_retried(jobs: Jobs) -> None:
    jobs.client.deploy_text(
        FLOW.replace(
            "functions/status\n",
            "functions/status\n    timeoutSeconds: 1\n    retry: [{errors: [FnF.TaskTimeout], intervalSeconds: 1}]\n",
        ),
        "polling",
    )
    jobs.worker("-c", "1")
    execution = jobs.client.start("polling", {"wait": 0.1, "block": 300, "done_at": 1}).wait(30)
    assert execution.status == "Succeeded"
    kinds = [event.type for event in execution.history() if event.step == "Status"]
    assert kinds.count("TaskStarted") == 2 and kinds.count("TaskTimedOut") == 1


def test_a_worker_resumed_after_its_lease_cannot_commit(jobs: Jobs) -> None:
    first = jobs.worker(name="first")
    execution = jobs.client.start("polling", {"wait": 0.1, "block": 4, "done_at": 2})
    jobs.until_called(execution, "Status")
    first.signal_group(signal.SIGSTOP)
    second = jobs.worker(name="second")
    execution = execution.wait(30)
    # The children go on alone at first: the worker would terminate the call if it is not finished within seconds.
    for pid in group_members(first.pid):
        if pid != first.pid:
            os.kill(pid, signal.SIGCONT)
    first.wait_for_output("a commit came too late")
    first.signal_group(signal.SIGCONT)
    assert first.process.poll() is None
    second.stop()
    assert jobs.client.start("polling", {"wait": 0.1}).wait(20).status == "Succeeded"
    assert_sound(execution)
    keys = Counter(call["key"] for call in calls(jobs.url) if call["step"] == "Status")
    assert 2 in keys.values()


def test_a_child_that_dies_after_its_worker_has_reconnected_is_noticed(jobs: Jobs) -> None:
    # Celery 5.5 forgets the running calls when it reconnects, and so never learns that this child has died.
    worker = jobs.worker()
    execution = jobs.client.start("polling", {"wait": 0.1, "block": 300, "done_at": 1})
    called = jobs.until_called(execution, "Status")
    connections = worker.output().count("Connected to")
    with Redis.from_url(jobs.url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_until(lambda: worker.output().count("Connected to") > connections, "the reconnection")
    os.kill(called["pid"], signal.SIGKILL)
    execution = execution.wait(60)
    assert execution.status == "Succeeded"
    assert_sound(execution)
    assert len([call for call in calls(jobs.url) if call["step"] == "Status"]) == 2


def test_a_function_may_continue_after_it_reported_its_callback(jobs: Jobs) -> None:
    jobs.client.deploy_text(
        "version: v1\ntype: flow\nsteps:\n  - type: task\n    name: Ask\n"
        '    resourceArn: "acs:fc:::services/jobs/functions/report"\n    pattern: waitForCallback\n'
        "    inputMappings:\n      - {target: token, source: $context.task.token}\n"
        "      - {target: seconds, source: 6}\n",
        "ask",
    )
    jobs.worker("-c", "1")
    execution = jobs.client.start("ask").wait(20)
    assert execution.output == {"v": 1}
    with Redis.from_url(jobs.url, socket_timeout=30) as client:
        assert client.blpop(["test:calls"], timeout=20)
    assert "terminated a call" not in jobs.log()
