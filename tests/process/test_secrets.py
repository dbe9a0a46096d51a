"""No process prints the password of its Redis or a secret of its data: workers at level DEBUG, commands, and Flower."""

from __future__ import annotations

import json
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from pollflow.store.urls import RedisLocation
from tests.process.flower import Flower
from tests.process.jobs import Jobs
from tests.processes import wait_until
from tests.workers import PROJECT

pytestmark = pytest.mark.process

CANARY = "canary-of-data"
FAILING = """
version: v1
type: flow
steps:
- type: task
  name: "Fetch\\u202E"
  resourceArn: acs:fc:::services/jobs/functions/raise
"""


def test_a_worker_and_flower_show_neither_secrets_nor_control_characters(jobs: Jobs) -> None:
    flower = Flower.start(jobs)
    jobs.worker("-E", "-l", "DEBUG")
    flower.await_worker()
    jobs.client.deploy_text(FAILING, "flow")
    ended = jobs.client.start("flow", {"error": "secret", "password": CANARY}, name="x").wait(30)
    assert (ended.status, ended.error) == ("Failed", "ValueError")
    assert CANARY in (ended.cause or "")
    wait_until(lambda: "FAILURE" in {row["state"] for row in flower.rows()}, "failure in Flower")
    (row,) = flower.rows()
    assert row["exception"].startswith("StepError('ValueError: *** is wrong [ERROR] imitated\\\\x1b[2J")
    assert row["name"] == "pollflow.task flow/Fetch\\u202e"
    shown = jobs.log() + json.dumps(flower.ask("tasks"))
    assert "flow/x Fetch\\u202e: logs ***\n    [ERROR] imitated\\x1b[2J" in shown
    assert "\n    ValueError: *** is wrong\n    [ERROR] imitated\\x1b[2J" in shown
    password = RedisLocation.parse(jobs.url).password or ""
    assert (CANARY in shown, password in shown, "\x1b[2J" in shown) == (False, False, False)


BROKERS = [
    "redis://:{password}@127.0.0.1:1/0;redis://u:{password}@127.0.0.1:2/0",
    "sentinel://:{password}@127.0.0.1:1;sentinel://:{password}@127.0.0.1:2",
    "redis+socket://:{password}@/no/socket?virtual_host=0",
    "redis://127.0.0.1:1/0?password={password}",
    "redis://:{password}/x@127.0.0.1:1/0",
    "rediss://:{password}@{place}",
    "redis://:{password}@{place}",
]


def test_workers_that_cannot_connect_print_no_password(jobs: Jobs) -> None:
    place = urlsplit(jobs.url).netloc.rpartition("@")[2]
    command = [sys.executable, "-m", "celery", "-A", "tests.apps.jobs", "worker", "-P", "solo", "-l", "DEBUG"]
    workers = []
    for form in BROKERS:
        url = form.replace("{password}", CANARY).replace("{place}", place)
        conf = {
            "broker_url": url,
            "broker_connection_retry": False,
            "result_backend": f"redis://{place}?password={CANARY}",
        }
        env = {"POLLFLOW_TEST_CONF": json.dumps(conf), "POLLFLOW_REDIS_URL": f"redis://u:{CANARY}@127.0.0.1:1/0"}
        workers.append(jobs.processes.start("worker", command, cwd=PROJECT, env=env))
    for worker in workers:
        wait_until(lambda: worker.process.poll() is not None or "rror" in worker.output(), "error of a worker", 120)  # noqa: B023
        worker.kill_group()
        assert CANARY not in worker.output()


def test_commands_show_no_password_of_a_server_that_refuses_them(jobs: Jobs) -> None:
    place = urlsplit(jobs.url).netloc.rpartition("@")[2]
    for words in (["list", "-v"], ["show", "a/b"], ["flows"]):
        for url in (
            f"redis://u:{CANARY}@{place}/0",
            f"rediss://:{CANARY}@{place}",
            f"redis://{place}?password={CANARY}",
        ):
            command = [sys.executable, "-m", "pollflow.cli", *words, "--redis", url]
            run = subprocess.run(command, cwd=jobs.processes.folder, capture_output=True, text=True, check=False)
            assert (run.returncode, CANARY in run.stdout + run.stderr) == (2, False)
