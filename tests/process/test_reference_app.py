"""The reference application: its two functions, its worker and its beat."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator

import pytest
from redis import Redis

from pollflow import Context, TaskError
from tasks import polling
from tests.processes import wait_until
from tests.servers import RedisServer
from tests.workers import Workers

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def jobs(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    monkeypatch.setenv("POLLFLOW_REDIS_URL", store_url)
    polling.jobs.cache_clear()
    with polling.jobs() as client:
        yield client
    polling.jobs.cache_clear()


def context(key: str) -> Context:
    logger = logging.LoggerAdapter(logging.getLogger("test"), {})
    return Context("id", "name", "flow", "StartJob", 1, key, None, logger)


def set_started(jobs: Redis, job_id: str, seconds_ago: float) -> None:
    jobs.set(polling.key_of(job_id), polling.now() - seconds_ago)


def test_a_repeated_call_returns_the_job_that_it_started(jobs: Redis) -> None:
    first = polling.start_job({}, context("execution/StartJob/1"))
    started_at = jobs.get(polling.key_of(first["job_id"]))
    assert polling.start_job({}, context("execution/StartJob/1")) == first
    assert jobs.get(polling.key_of(first["job_id"])) == started_at
    assert polling.start_job({}, context("execution/StartJob/2")) != first
    assert str(uuid.UUID(first["job_id"])) == first["job_id"]


def test_a_job_expires_when_it_is_not_polled(jobs: Redis) -> None:
    job_id = polling.start_job({}, context("key"))["job_id"]
    assert 0 < jobs.ttl(polling.key_of(job_id)) <= polling.KEPT_SECONDS
    jobs.expire(polling.key_of(job_id), 10)
    polling.get_job_status({"job_id": job_id}, context("key"))
    assert jobs.ttl(polling.key_of(job_id)) > 10


@pytest.mark.parametrize(
    ("seconds_ago", "delay", "status"),
    [(19, 20, "running"), (21, 20, "success"), (59, None, "running"), (61, None, "success"), (0, -1, "success")],
)
def test_a_job_succeeds_after_its_delay(
    jobs: Redis, monkeypatch: pytest.MonkeyPatch, seconds_ago: int, delay: int | None, status: str
) -> None:
    monkeypatch.setattr(polling, "now", lambda: 1000.0)
    set_started(jobs, "some-job", seconds_ago)
    answer = polling.get_job_status({"job_id": "some-job", "delay": delay, "try_count": 2}, context("key"))
    assert answer == {"job_id": "some-job", "job_status": status, "try_count": 3}


def test_a_job_succeeds_exactly_when_its_delay_has_passed(jobs: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.set(polling.key_of("some-job"), 1000)
    monkeypatch.setattr(polling, "now", lambda: 1020.0)
    answer = polling.get_job_status({"job_id": "some-job", "delay": 20}, context("key"))
    assert answer["job_status"] == "success"


def test_inputs_of_the_polling_functions_are_optional(jobs: Redis) -> None:
    set_started(jobs, "some-job", 0)
    answer = polling.get_job_status({"job_id": "some-job"}, context("key"))
    assert answer == {"job_id": "some-job", "job_status": "running", "try_count": 1}


def test_an_unknown_job_raises_its_own_error() -> None:
    with pytest.raises(TaskError, match="JobNotFound: no job other was started"):
        polling.get_job_status({"job_id": "other"}, context("key"))


@pytest.mark.parametrize("app", ["worker", "beat_config"])
def test_beat_sends_the_sweep_with_either_configuration(workers: Workers, redis_server: RedisServer, app: str) -> None:
    workers.beat(app=app)
    with Redis.from_url(redis_server.url) as client:
        wait_until(lambda: client.llen("celery"), "a message from beat")
        assert b'"pollflow.sweep"' in client.lindex("celery", 0)


def test_a_worker_of_the_reference_application_knows_its_functions(workers: Workers) -> None:
    worker = workers.start()
    assert ". pollflow.task" in worker.output()
    assert worker.stop() == 0
