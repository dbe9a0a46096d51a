"""More messages than workers can handle: queued messages are neither lost nor duplicated."""

from __future__ import annotations

import json
import time
from collections import Counter
from itertools import pairwise
from statistics import median

import pytest
from celery import Celery
from redis import Redis

from pollflow import Execution
from pollflow.machine import Status
from pollflow.runtime.routes import DEFAULT_QUEUE
from pollflow.runtime.settings import Settings
from pollflow.store import SHARDS, Keys
from tests.process.jobs import Jobs
from tests.process.polling import assert_sound, calls
from tests.processes import wait_until

pytestmark = pytest.mark.process

STARTS = 600
OTHERS = 1_500
# The timeout is longer than a call, and shorter than the time that most messages wait in the queue.
FLOW = """
version: v1
type: flow
steps:
  - {type: task, name: Slow, resourceArn: "acs:fc:::services/jobs/functions/slow", timeoutSeconds: 2}
"""

# As many entries as in tests/contract/test_overload.py would take minutes. The calls of these take longer than the
# redelivery timeout.
ENTRIES = 1_500
CALL_SECONDS = 0.02
HOUR = 3600
PARTS = 20


def test_a_backlog_longer_than_the_redelivery_timeout_is_handled_once(jobs: Jobs) -> None:
    jobs.client.deploy_text(FLOW, "slow")
    jobs.register()
    executions = [jobs.client.start("slow", {"seconds": 0.03}) for _ in range(STARTS)]
    worker = jobs.worker("-c", "2")
    backlog: list[int] = []
    with Redis.from_url(jobs.url) as client:
        while not backlog or backlog[-1]:
            backlog.append(client.llen("celery"))
            time.sleep(0.1)
    for execution in executions:
        assert execution.wait(30).status == "Succeeded"
    assert_sound(executions[0])
    # Most messages were queued for longer than the redelivery timeout.
    assert median(map(seconds_in_queue, executions[::20])) > Settings().redelivery_timeout
    redelivered = worker.output().count("redelivered")
    assert redelivered <= STARTS * 0.05
    # The queue never grows by more than the redelivered messages.
    assert all(later - earlier <= redelivered for earlier, later in pairwise(backlog))
    assert len(calls(jobs.url)) == STARTS


@pytest.mark.slow
def test_messages_behind_thousands_of_tasks_of_the_app_are_not_lost(jobs: Jobs) -> None:
    with Celery(broker=jobs.url) as app, Redis.from_url(jobs.url) as client:
        jobs.register()
        for _ in range(OTHERS):
            app.send_task("own.quick", ignore_result=True)
        executions = [jobs.client.start("polling", {"wait": 0.1, "done_at": 1}) for _ in range(10)]
        # This worker sweeps, and takes no message of the queue.
        idle = jobs.worker("-c", "1", "-Q", "unused", name="idle", pollflow_redelivery_timeout=0.5)
        before = reads(client)
        wait_until(lambda: reads(client) >= before + 30, "sweeps that read the queue")
        assert client.llen(DEFAULT_QUEUE) == OTHERS + len(executions)
        jobs.worker("-c", "2")
        for execution in executions:
            assert execution.wait(60).status == "Succeeded"
            assert_sound(execution)
    assert len(calls(jobs.url)) == 20
    assert "redelivered" not in idle.output()


def reads(client: Redis) -> int:
    """Return how many slices of queues were read."""
    return int(client.info("commandstats").get("cmdstat_lrange", {"calls": 0})["calls"])


def test_the_backlog_of_an_hour_is_handled_without_duplicates(jobs: Jobs) -> None:
    jobs.client.deploy_text(FLOW, "slow")
    executions = [jobs.client.start("slow", {"seconds": CALL_SECONDS}) for _ in range(ENTRIES)]
    with Redis.from_url(jobs.url, decode_responses=True) as client:
        lose_messages_for_an_hour(client)
        client.config_resetstat()
        for name in ("one", "two"):
            jobs.worker("-c", "1", name=name)
        for part in range(1, PARTS + 1):
            wait_for_calls(client, ENTRIES * part // PARTS)
            assert max(queued(client).values(), default=0) <= 2
        wait_until(lambda: succeeded(client) == ENTRIES, "success of all executions")
        # LPUSH is used for messages, and for a few replies between workers at their start.
        published = client.info("commandstats")["cmdstat_lpush"]["calls"]
    assert ENTRIES <= published <= ENTRIES * 1.05
    assert_sound(executions[0])
    assert len({call["key"] for call in calls(jobs.url)}) == len(calls(jobs.url)) == ENTRIES


def seconds_in_queue(execution: Execution) -> float:
    """Return the seconds between the publication of the message of a call and its start."""
    times = {event.type: event.time for event in execution.history()}
    return (times["TaskStarted"] - times["TaskScheduled"]).total_seconds()


def lose_messages_for_an_hour(client: Redis) -> None:
    """Delete all messages and make all entries an hour overdue."""
    client.delete(DEFAULT_QUEUE)
    for wake in map(Keys().wake, range(SHARDS)):
        client.zadd(wake, {member: score - HOUR for member, score in client.zrange(wake, 0, -1, withscores=True)})


def wait_for_calls(client: Redis, count: int) -> None:
    """Wait until functions have been called `count` times."""
    wait_until(lambda: client.llen("test:calls") >= count, f"{count} calls")


def succeeded(client: Redis) -> int:
    """Return the number of succeeded executions."""
    return sum(client.zcard(Keys().index(shard, "slow", Status.SUCCEEDED)) for shard in range(SHARDS))


def queued(client: Redis) -> Counter[str]:
    """Return the number of queued messages of each entry."""
    return Counter(json.loads(text)["headers"]["id"] for text in client.lrange(DEFAULT_QUEUE, 0, -1))
