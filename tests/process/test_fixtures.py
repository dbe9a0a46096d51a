"""The fixtures of the tests start, kill and clean up servers and processes."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from redis import Redis

from tests.processes import Processes, group_members, wait_until
from tests.servers import RedisServer
from tests.workers import Workers

pytestmark = pytest.mark.process

APP = """
import os
from celery import Celery
app = Celery("plain", broker=os.environ["POLLFLOW_REDIS_URL"])
app.conf.broker_connection_retry_on_startup = True

@app.task(name="plain.put", ignore_result=True)
def put(value):
    from redis import Redis
    Redis.from_url(os.environ["POLLFLOW_REDIS_URL"]).set("key", value)

app.conf.beat_schedule = {"put": {"task": "plain.put", "schedule": 0.1, "args": ("from beat",)}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "worker.py").write_text(APP)
    return folder


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_server_keeps_its_data_and_its_url(redis_server: RedisServer, end: str) -> None:
    with Redis.from_url(redis_server.url) as client:
        client.set("key", "value")
        getattr(redis_server, end)()
        redis_server.start()
        assert client.get("key") == b"value"
        redis_server.lose_everything()
        assert client.get("key") is None


def test_a_celery_worker_and_beat_run_on_the_url_of_the_embedded_server(
    workers: Workers, redis_server: RedisServer, folder: Path
) -> None:
    workers.start(cwd=folder)
    beat = workers.beat(cwd=folder)
    with Redis.from_url(redis_server.url) as client:
        wait_until(lambda: client.get("key") == b"from beat", "the task that beat sends")
    assert beat.stop() == 0


def test_killing_a_group_ends_the_pool_processes_too(workers: Workers, folder: Path) -> None:
    worker = workers.start("-c", "3", cwd=folder)
    assert len(group_members(worker.pid)) >= 4
    worker.kill_group(signal.SIGKILL)
    assert group_members(worker.pid) == []
    assert worker.process.returncode == -signal.SIGKILL


def test_a_process_that_ends_before_it_is_ready_is_reported(processes: Processes, tmp_path: Path) -> None:
    started = processes.start("broken", [sys.executable, "-c", "raise SystemExit('no such thing')"], cwd=tmp_path)
    with pytest.raises(AssertionError, match="ended with 1:\nno such thing"):
        started.wait_for_output("ready")


def test_a_process_that_outlives_its_leader_fails_the_test(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    orphan = "import os, time\nif os.fork() == 0:\n    time.sleep(600)"
    started = processes.start("orphan", [sys.executable, "-c", orphan], cwd=tmp_path)
    started.process.wait()
    with pytest.raises(AssertionError, match="processes outlived their leader"):
        processes.end_all()
    assert group_members(started.pid) == []
