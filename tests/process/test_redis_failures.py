"""Workers recover from a Redis that is full, read-only, loading or empty."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis

from pollflow import StoreFull, StoreUnavailable
from tests.process.jobs import Jobs
from tests.process.polling import FLOW, assert_sound, calls
from tests.processes import Started, wait_until
from tests.servers import RedisServer, free_port
from tests.workers import PROJECT

pytestmark = pytest.mark.process

CELERY = [sys.executable, "-m", "celery", "-A", "tests.apps.jobs"]


@contextmanager
def full(url: str) -> Iterator[None]:
    """Set Redis to its memory limit; it evicts nothing."""
    with Redis.from_url(url) as client:
        client.config_set("maxmemory", 1_000_000)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


@contextmanager
def read_only(url: str) -> Iterator[None]:
    """Make Redis the replica of a primary that does not exist."""
    with Redis.from_url(url) as client:
        client.replicaof("127.0.0.1", free_port())
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")


@pytest.mark.parametrize("ack_emulation", [True, False])
@pytest.mark.parametrize(("failure", "line"), [(full, "Redis is full"), (read_only, "read-only replica")])
def test_a_result_is_kept_while_redis_refuses_writes(jobs: Jobs, failure: Any, line: str, ack_emulation: bool) -> None:
    worker = jobs.worker(broker_transport_options={"ack_emulation": ack_emulation})
    execution = jobs.client.start("polling", {"wait": 0.1, "block": 4, "done_at": 1})
    # The function itself writes to Redis before it blocks.
    jobs.until_called(execution, "Status")
    with failure(jobs.url):
        worker.wait_for_output(line)
        # Only pool processes commit: the function has ended.
        wait_until(lambda: _refused_commits(worker, line), "a refused commit")
        assert worker.process.poll() is None
        assert execution.refresh().status == "Running"
    execution = execution.wait(30)
    assert execution.status == "Succeeded"
    assert_sound(execution)
    if failure is full:
        assert [call["step"] for call in calls(jobs.url)] == ["Start", "Status"]
    assert worker.process.poll() is None
    after = jobs.client.start("polling", {"wait": 0.1}).wait(20)
    assert after.status == "Succeeded"


def _refused_commits(worker: Started, line: str) -> bool:
    return any("ForkPoolWorker" in text and line in text for text in worker.output().splitlines())


def test_a_worker_started_on_a_full_redis_continues_later(jobs: Jobs) -> None:
    execution = jobs.client.start("polling", {"wait": 0.1})
    with full(jobs.url):
        worker = jobs.processes.start("worker", [*CELERY, "worker", "-l", "INFO", "-c", "2"], cwd=PROJECT)
        worker.wait_for_output("when used memory > 'maxmemory'")
        with pytest.raises(StoreFull, match="Redis is full"):
            jobs.client.start("polling", {"wait": 0.1}, name="refused")
    assert execution.wait(30).status == "Succeeded"
    assert jobs.client.start("polling", {"wait": 0.1}, name="refused").wait(20).status == "Succeeded"
    assert worker.process.poll() is None
    assert_sound(execution)


def test_workers_wait_while_redis_loads_its_data(jobs: Jobs, redis_server: RedisServer) -> None:
    worker = jobs.worker()
    waiting = jobs.client.start("polling", {"wait": 1, "done_at": 3})
    jobs.until(waiting, "StepStarted", "Wait")
    calling = jobs.client.start("polling", {"wait": 0.1, "block": 5, "done_at": 1})
    jobs.until_called(calling, "Status")
    with redis_server.killed_and_loading(8):
        with pytest.raises(StoreUnavailable, match="Redis is loading its data"):
            jobs.client.start("polling", {"wait": 0.1}, name="refused")
        # The function has ended, and the worker keeps its result until Redis accepts writes.
        worker.wait_for_output("Redis is loading its data; retrying")
    for execution in (waiting, calling, jobs.client.start("polling", {"wait": 0.1}, name="refused")):
        assert execution.wait(30).status == "Succeeded"
        assert_sound(execution)
    assert worker.process.poll() is None


def test_expired_executions_are_purged_from_a_full_redis(jobs: Jobs) -> None:
    jobs.worker(pollflow_retention=1.0)
    execution = jobs.client.start("polling", {"wait": 0.1}).wait(20)
    with full(jobs.url), Redis.from_url(jobs.url) as client:
        wait_until(lambda: not list(client.scan_iter(f"pollflow:*{execution.name}*")), "the purge")


def test_routes_are_announced_again_after_redis_lost_its_data(jobs: Jobs, redis_server: RedisServer) -> None:
    worker = jobs.worker()
    lost = jobs.client.start("polling", {"wait": 0.1, "block": 300})
    jobs.until_called(lost, "Status")
    redis_server.lose_everything()
    # The execution does not exist any more, so the worker terminates its call.
    worker.wait_for_output("terminated a call that can no longer commit")
    with pytest.raises(LookupError):
        jobs.client.execution("polling", lost.name)
    with Redis.from_url(jobs.url) as client:
        wait_until(lambda: client.exists("pollflow:route", "pollflow:functions") == 2, "announcements of the worker")
    jobs.client.deploy_text(FLOW, "polling")
    execution = jobs.client.start("polling", {"wait": 0.1}).wait(20)
    assert execution.status == "Succeeded"
    assert worker.process.poll() is None
    assert_sound(execution)


def test_a_redis_that_evicts_or_does_not_persist_causes_a_warning(jobs: Jobs) -> None:
    with Redis.from_url(jobs.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
    log = jobs.worker().output()
    assert "maxmemory-policy is allkeys-lru" in log
    assert "neither an append-only file nor snapshots" in log


def test_a_redis_without_config_and_info_is_accepted(jobs: Jobs) -> None:
    with Redis.from_url(jobs.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.acl_setuser("default", enabled=True, commands=["-info", "-config"])
    log = jobs.worker().output()
    assert "maxmemory-policy" not in log and "could not be checked" not in log
    assert jobs.client.start("polling", {"wait": 0.1}).wait(20).status == "Succeeded"


def test_a_lease_is_renewed_after_the_worker_lost_its_connections(jobs: Jobs) -> None:
    worker = jobs.worker()
    execution = jobs.client.start("polling", {"wait": 0.1, "block": 6, "done_at": 1})
    jobs.until_called(execution, "Status")
    with Redis.from_url(jobs.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    assert execution.wait(30).status == "Succeeded"
    assert "Connection to broker lost" in worker.output()
    assert [call["step"] for call in calls(jobs.url)] == ["Start", "Status"]
    assert_sound(execution)
