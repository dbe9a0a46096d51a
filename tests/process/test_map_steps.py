"""Thousands of iterations on real workers: nothing is lost, and the stored data stays small."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from redis import Redis

from tests.flows import EACH_PASS
from tests.process.jobs import Jobs

pytestmark = pytest.mark.process

# The second pass of CI, on another server, need not take as long.
ITERATIONS = 1_000 if os.environ.get("POLLFLOW_TEST_SERVER") else 3_000


def test_thousands_of_iterations_end_and_never_block_redis(jobs: Jobs) -> None:
    jobs.client.deploy_text(EACH_PASS, "map")
    jobs.worker("-c", "2")
    with Redis.from_url(jobs.url) as client:
        client.config_set("slowlog-log-slower-than", 50_000)
        execution = jobs.client.start("map", {"items": [0] * ITERATIONS}).wait(1200)
        assert execution.status == "Succeeded"
        kinds = Counter(event.type for event in execution.history())
        assert kinds["IterationEntered"] == kinds["IterationExited"] == ITERATIONS
        assert [entry["command"] for entry in client.slowlog_get(10)] == []
        assert client.info("memory")["used_memory_peak"] < 20 * 1024 * 1024
