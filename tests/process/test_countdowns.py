"""A worker holds no more messages with a countdown than the setting allows, and all waits end in time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from redis import Redis

from pollflow import Execution
from pollflow.machine import Status
from pollflow.store import SHARDS, Keys
from tests.flows import WAIT
from tests.process.jobs import Jobs
from tests.process.polling import SOON, assert_sound
from tests.processes import wait_until

pytestmark = pytest.mark.process

LIMIT, WAITS, SECONDS = 16, 60, 5


@contextmanager
def watching(url: str) -> Iterator[list[int]]:
    """Collect how many messages wait for their countdown, in the queue and in workers, as often as possible."""
    counts: list[int] = []
    is_over = threading.Event()

    def watch() -> None:
        with Redis.from_url(url, decode_responses=True) as client:
            while not is_over.is_set():
                counts.append(waiting(client))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield counts
    finally:
        is_over.set()
        thread.join()


def waiting(client: Redis) -> int:
    """Return the number of messages that are not due; of a message that is restored there are two."""
    pipe = client.pipeline()
    texts, reserved = pipe.lrange("celery", 0, -1).hvals("unacked").execute()
    messages = map(json.loads, [*texts, *(json.dumps(json.loads(text)[0]) for text in reserved)])
    etas = {message["headers"]["id"]: message["headers"]["eta"] for message in messages}
    return sum(eta is not None and datetime.fromisoformat(eta).timestamp() > time.time() for eta in etas.values())


def begun(client: Redis) -> int:
    """Return how many executions have a wake-up of a wait, with a message or without."""
    return sum(client.hget(key, "due") not in (None, "0") for key in client.scan_iter("pollflow:*:frame:*"))


def late_by(execution: Execution) -> float:
    times = {(event.type, event.step): event.time for event in execution.history()}
    return (times["StepEntered", "After"] - times["StepStarted", "Wait"]).total_seconds() - SECONDS


def test_a_killed_worker_holds_few_messages_and_loses_no_wait(jobs: Jobs) -> None:
    jobs.client.deploy_text(WAIT, "waits")
    first = jobs.worker(pollflow_max_countdown_messages=LIMIT)
    with watching(jobs.url) as counts, Redis.from_url(jobs.url, decode_responses=True) as client:
        executions = [jobs.client.start("waits", {"seconds": SECONDS}) for _ in range(WAITS)]
        wait_until(lambda: begun(client) == WAITS, "begin of all waits")
        held = waiting(client)
        first.kill_group()
        jobs.worker(pollflow_max_countdown_messages=LIMIT, name="second")
        keys = [Keys().index(shard, "waits", Status.SUCCEEDED) for shard in range(SHARDS)]
        wait_until(lambda: sum(map(client.zcard, keys)) == WAITS, "success of all executions", timeout=60)
    assert 0 < held <= max(counts) <= LIMIT
    for execution in executions:
        assert_sound(execution)
        assert 0 <= late_by(execution) < SOON
