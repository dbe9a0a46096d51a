"""Celery failure modes that affect users (docs/celery.md): each is handled, or refused at start."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from kombu.transport.redis import Channel
from packaging.requirements import Requirement
from redis import Redis
from redis.exceptions import RedisError

from pollflow.server import find_server
from tests.process.jobs import Jobs
from tests.process.polling import assert_sound, calls
from tests.processes import Processes, wait_until
from tests.servers import free_port
from tests.workers import PROJECT

pytestmark = pytest.mark.process

FAST_RESTORE = {"unacked_restore_interval": 1, "unacked_restore_throttle": 1}


def test_the_broken_celery_release_is_excluded() -> None:
    (text,) = re.findall(r'^ *"(celery\[redis\][^"]*)"', (PROJECT / "pyproject.toml").read_text(), re.M)
    celery = Requirement(text)
    versions = ("5.5.0", "5.6.3", "5.7.0", "5.7.1")
    assert [version for version in versions if version in celery.specifier] == ["5.5.0", "5.6.3", "5.7.1"]
    assert importlib.metadata.version("celery") in celery.specifier


def test_a_worker_without_pollflow_delays_executions_but_stops_none(jobs: Jobs) -> None:
    plain = jobs.workers.start(app="tests.apps.plain", name="plain")
    # The plain worker drops about half of the messages, so the redelivery timeout must stay short.
    jobs.worker(pollflow_redelivery_timeout=0.5, pollflow_max_redelivery_timeout=1.0)
    executions = [jobs.client.start("polling", {"wait": 0.1, "done_at": 1}) for _ in range(3)]
    for execution in executions:
        assert execution.wait(60).status == "Succeeded"
        assert_sound(execution)
    assert "Received unregistered task" in plain.output()
    assert len(calls(jobs.url)) == 6


@pytest.mark.skipif(
    not hasattr(Channel, "unacked_restore_interval"), reason="this kombu restores messages every 100 s only"
)
def test_an_app_with_a_shorter_visibility_timeout_duplicates_no_call(jobs: Jobs) -> None:
    """The other app restores the unacknowledged countdowns of pollflow's workers to the queue."""
    conf = {"broker_transport_options": {"visibility_timeout": 1, **FAST_RESTORE}, "task_default_queue": "other"}
    jobs.workers.start(app="tests.apps.plain", name="plain", env={"POLLFLOW_TEST_CONF": json.dumps(conf)})
    for _ in range(2):
        jobs.worker()
    executions = [jobs.client.start("polling", {"wait": 6, "done_at": 1}) for _ in range(5)]
    with Redis.from_url(jobs.url) as client:
        jobs.until(executions[-1], "StepStarted", "Wait")
        assert client.hlen("unacked") > 0
    for execution in executions:
        assert execution.wait(30).status == "Succeeded"
        assert_sound(execution)
    assert len(calls(jobs.url)) == 10
    received = Counter(line.partition("pollflow.")[2] for line in jobs.log().splitlines() if line.endswith("received"))
    assert max(received.values()) > 1


def test_a_worker_reconnects_while_a_pool_process_is_ending(jobs: Jobs) -> None:
    worker = jobs.worker("-c", "1", app="tests.apps.late_exit")
    jobs.client.start("polling", {"wait": 0.1, "done_at": 1}).wait(20)
    with Redis.from_url(jobs.url) as client:
        os.kill(calls(jobs.url)[-1]["pid"], signal.SIGKILL)
        wait_until(lambda: client.exists("test:ended"), "the end of the process")
        client.client_kill_filter(_type="normal", skipme=True)
        wait_until(lambda: worker.output().count("Connected to") == 2, "reconnection")
        client.set("test:reap", 1)
    execution = jobs.client.start("polling", {"wait": 0.1}).wait(30)
    assert execution.status == "Succeeded"
    assert worker.process.poll() is None
    assert_sound(execution)


def test_acks_late_workers_killed_under_load_lose_nothing(jobs: Jobs) -> None:
    conf = {"task_acks_late": True, "task_reject_on_worker_lost": True}
    executions = [jobs.client.start("polling", {"wait": 0.2, "done_at": 5}) for _ in range(30)]
    with Redis.from_url(jobs.url) as client:
        for kill in range(1, 4):
            worker = jobs.worker(**conf)
            wait_until(lambda kill=kill: client.llen("test:calls") > 30 * kill, "calls")  # type: ignore[misc]
            worker.kill_group()
    jobs.worker(**conf)
    for execution in executions:
        assert execution.wait(60).status == "Succeeded"
        assert_sound(execution)


@pytest.fixture
def cluster_url(processes: Processes) -> Iterator[str]:
    """Return the URL of a Redis Cluster with one node."""
    port = free_port()
    # The default port of the bus is 10,000 higher, which may be out of range.
    bus = str(free_port())
    options = [
        "--port",
        str(port),
        "--cluster-port",
        bus,
        "--cluster-enabled",
        "yes",
        "--bind",
        "127.0.0.1",
        "--save",
        "",
    ]
    server = processes.start("cluster", [find_server().path.absolute(), *options], cwd=processes.folder)
    url = f"redis://127.0.0.1:{port}/0"

    def serves() -> bool:
        with Redis.from_url(url) as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False

    wait_until(serves, "the cluster")
    yield url
    server.kill_group(signal.SIGKILL)


@pytest.mark.parametrize("role", ["Redis of pollflow", "broker"])
def test_a_redis_cluster_is_refused_at_start(jobs: Jobs, cluster_url: str, role: str) -> None:
    env = {**os.environ, "POLLFLOW_REDIS_URL": jobs.url, "POLLFLOW_TEST_BROKER": jobs.url}
    env["POLLFLOW_TEST_BROKER" if role == "broker" else "POLLFLOW_REDIS_URL"] = cluster_url
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tests.apps.jobs", "worker", "-c", "1"],
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert f"ConfigurationError: the {role} is a Redis Cluster" in ended.stderr


def test_a_visibility_timeout_that_is_too_short_ends_the_worker_at_start(jobs: Jobs) -> None:
    conf = {"broker_transport_options": {"visibility_timeout": 10}}
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tests.apps.jobs", "worker", "-c", "1"],
        cwd=PROJECT,
        env={**os.environ, "POLLFLOW_REDIS_URL": jobs.url, "POLLFLOW_TEST_CONF": json.dumps(conf)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "visibility_timeout'] is 10 s" in ended.stderr
