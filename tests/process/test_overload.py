"""More work than the workers can do: a queued message is neither lost nor duplicated."""

from __future__ import annotations

import json
import time
from collections import Counter
from itertools import pairwise

import pytest
from redis import Redis

from pollflow.machine import Status
from pollflow.runtime.routes import DEFAULT_QUEUE
from pollflow.store import SHARDS, Keys
from tests.process.jobs import Jobs
from tests.process.polling import assert_sound, calls
from tests.processes import wait_until

pytestmark = pytest.mark.process

STARTS = 600
# Longer than a call may take by itself, shorter than most of them wait for a worker.
FLOW = """
version: v1
type: flow
steps:
  - {type: task, name: Slow, resourceArn: "acs:fc:::services/jobs/functions/slow", timeoutSeconds: 2}
"""

# The 20,000 of tests/contract/test_overload.py would take minutes. Sweeping these takes a few seconds, working
# them off several times as long: so their messages stand in the queue for longer than the redelivery timeout.
ENTRIES = 1_500
CALL_SECONDS = 0.02
HOUR = 3600
SHARES = 20


def test_ten_times_the_capacity_of_a_worker_is_done_in_order(jobs: Jobs) -> None:
    jobs.client.deploy_text(FLOW, "slow")
    worker = jobs.worker("-c", "2")
    executions = [jobs.client.start("slow", {"seconds": 0.03}) for _ in range(STARTS)]
    backlog = []
    with Redis.from_url(jobs.url) as client:
        while not backlog or backlog[-1]:
            backlog.append(client.llen("celery"))
            time.sleep(0.1)
    for execution in executions:
        assert execution.wait(30).status == "Succeeded"
    assert_sound(executions[0])
    # Most of it stood in the queue for longer than the redelivery timeout.
    assert len(backlog) > 40
    assert backlog[0] > STARTS / 2
    redelivered = worker.output().count("redelivered")
    assert redelivered <= STARTS * 0.05
    # No hump: it never grows by more than what was published again.
    assert all(later - earlier <= redelivered for earlier, later in pairwise(backlog))
    assert len(calls(jobs.url)) == STARTS


def test_an_hour_without_workers_is_worked_off_without_duplicates(jobs: Jobs) -> None:
    jobs.client.deploy_text(FLOW, "slow")
    executions = [jobs.client.start("slow", {"seconds": CALL_SECONDS}) for _ in range(ENTRIES)]
    with Redis.from_url(jobs.url, decode_responses=True) as client:
        let_an_hour_pass(client)
        client.config_resetstat()
        for name in ("one", "two"):
            jobs.worker("-c", "1", name=name)
        for share in range(1, SHARES + 1):
            wait_for_calls(client, ENTRIES * share // SHARES)
            assert max(queued(client).values(), default=0) <= 2
        wait_until(lambda: ended_well(client) == ENTRIES, "the ends of all")
        # Only messages are pushed to the left of a list, and the few answers of workers that greet each other.
        published = client.info("commandstats")["cmdstat_lpush"]["calls"]
    assert ENTRIES <= published <= ENTRIES * 1.05
    assert_sound(executions[0])
    assert len({call["key"] for call in calls(jobs.url)}) == len(calls(jobs.url)) == ENTRIES


def let_an_hour_pass(client: Redis) -> None:
    """Lose all messages, and make all entries due an hour ago."""
    client.delete(DEFAULT_QUEUE)
    for wake in map(Keys().wake, range(SHARDS)):
        client.zadd(wake, {member: score - HOUR for member, score in client.zrange(wake, 0, -1, withscores=True)})


def wait_for_calls(client: Redis, count: int) -> None:
    """Wait until functions have been called so often."""
    wait_until(lambda: client.llen("test:calls") >= count, f"{count} calls")


def ended_well(client: Redis) -> int:
    """Return the number of succeeded executions."""
    return sum(client.zcard(Keys().index(shard, "slow", Status.SUCCEEDED)) for shard in range(SHARDS))


def queued(client: Redis) -> Counter[str]:
    """Return the number of queued messages of each entry."""
    return Counter(json.loads(text)["headers"]["id"] for text in client.lrange(DEFAULT_QUEUE, 0, -1))
