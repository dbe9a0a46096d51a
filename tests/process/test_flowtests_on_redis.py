"""`pollflow test --redis`: the flow tests pass on the Redis of the user, and leave no keys there."""

from __future__ import annotations

import sys

from redis import Redis

from tests.processes import Processes
from tests.workers import PROJECT


def test_flow_tests_pass_on_a_given_redis(store_url: str, processes: Processes) -> None:
    processes.env["POLLFLOW_REDIS_URL"] = store_url
    command = [sys.executable, "-m", "pollflow.cli", "test", "--redis", "tests/flowtests"]
    run = processes.start("test", command, cwd=PROJECT)
    assert run.process.wait(120) == 0, run.output()
    assert ", 0 failed" in run.output()
    with Redis.from_url(store_url) as client:
        assert client.dbsize() == 0
