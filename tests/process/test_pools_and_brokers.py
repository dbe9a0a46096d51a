"""Pools other than prefork, and brokers in another database or without acknowledgements."""

from __future__ import annotations

import pytest

from tests.process.jobs import Jobs
from tests.process.polling import assert_sound, calls
from tests.servers import RedisServer

pytestmark = pytest.mark.process


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_a_call_longer_than_its_lease_is_made_once_in_any_pool(jobs: Jobs, pool: str) -> None:
    jobs.worker("-P", pool, "-c", "2")
    execution = jobs.client.start("polling", {"wait": 0.2, "block": 6}).wait(40)
    assert execution.status == "Succeeded"
    assert [call["step"] for call in calls(jobs.url)] == ["Start", "Status", "Status"]
    assert_sound(execution)


def test_messages_prefetched_behind_a_long_call_run_once(jobs: Jobs) -> None:
    jobs.worker("-c", "1")
    executions = [jobs.client.start("polling", {"wait": 0.2, "block": 4, "done_at": 1}) for _ in range(3)]
    for execution in executions:
        execution = execution.wait(60)
        assert_sound(execution)
    assert len(calls(jobs.url)) == 6


def test_the_app_publishes_to_a_broker_in_another_database(jobs: Jobs) -> None:
    broker = jobs.url.replace("/0", "/1") if "/0" in jobs.url else f"{jobs.url}/1"
    jobs.processes.env["POLLFLOW_TEST_BROKER"] = broker
    worker = jobs.worker()
    execution = jobs.client.start("polling", {"wait": 1}).wait(20)
    assert execution.status == "Succeeded"
    assert_sound(execution)
    execution = jobs.client.start("polling", {"wait": 4})
    jobs.until(execution, "StepStarted", "Wait")
    worker.kill_group()
    jobs.worker()
    assert execution.wait(30).status == "Succeeded"
    assert_sound(execution)


def test_no_ack_transport_survives_a_kill_and_a_redis_restart(jobs: Jobs, redis_server: RedisServer) -> None:
    conf = {"broker_transport_options": {"ack_emulation": False}}
    first = jobs.worker(**conf)
    execution = jobs.client.start("polling", {"wait": 4, "done_at": 3})
    jobs.until(execution, "StepStarted", "Wait")
    first.kill_group()
    second = jobs.worker(**conf)
    jobs.until(execution, "StepStarted", "Wait", count=2)
    redis_server.restart()
    assert execution.wait(60).status == "Succeeded"
    assert second.process.poll() is None
    assert_sound(execution)
