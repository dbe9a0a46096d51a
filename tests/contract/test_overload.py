"""All workers are away for an hour with 20,000 due entries, and waits are longer than the maximum countdown."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator

import pytest
from redis import Redis

from pollflow.runtime.routes import DEFAULT_QUEUE
from pollflow.store import ExecutionRef
from tests.contract.conftest import Bench
from tests.contract.flows import PASSES, WAIT

# The second pass of CI, on another server, need not take as long.
ENTRIES = 2_000 if os.environ.get("POLLFLOW_TEST_SERVER") else 20_000
A_SECOND_OF_WORK = 500
HOUR, WEEK = 3600.0, 7 * 86_400.0
EPOCH = 1_800_000_000.0


@pytest.fixture
def server(store_url: str) -> Iterator[Bench]:
    with Redis.from_url(store_url, decode_responses=True) as client:
        yield Bench(client)


def go_to(bench: Bench, seconds: float) -> None:
    """The clock stands still at that moment, however long the test takes."""
    bench.clock.frozen_at = EPOCH + seconds


@pytest.mark.slow
def test_an_hour_without_workers_is_followed_by_work_at_once(server: Bench) -> None:
    go_to(server, 0)
    server.deploy(PASSES)
    for number in range(ENTRIES):
        server.container.starter.start("flow", {}, f"n{number}")
    server.redis.delete(DEFAULT_QUEUE)  # the workers had taken them all, and were killed
    # A beat sweeps on: each time, all that is due.
    for moment in (5, HOUR):
        go_to(server, moment)
        while server.sweep():
            pass
    queued = Counter(message["headers"]["id"] for message in server.queued())
    assert len(queued) == ENTRIES
    assert max(queued.values()) <= 2
    # Workers are back: each of the first messages moves its execution.
    for _ in range(A_SECOND_OF_WORK):
        key = server.take()
        assert key is not None
        server.container.engine.handle(key)
    newest = [json.loads(text) for text in server.redis.lrange(DEFAULT_QUEUE, 0, A_SECOND_OF_WORK - 1)]
    assert sum("'B'" in message["headers"]["argsrepr"] for message in newest) >= 0.95 * A_SECOND_OF_WORK


def test_a_wait_of_a_week_is_published_once_within_max_countdown(bench: Bench) -> None:
    """With a visibility timeout of 10 s the maximum countdown may be 5 s."""
    bench.build_container(max_countdown=5.0)
    go_to(bench, 0)
    ref = bench.start(WAIT, {"seconds": WEEK})
    bench.work()
    for hour in range(1, 7 * 24):
        go_to(bench, hour * HOUR)
        assert (bench.sweep(), bench.queued()) == (0, [])
    go_to(bench, WEEK - 5.1)
    assert (bench.sweep(), bench.queued()) == (0, [])
    go_to(bench, WEEK - 5)
    assert bench.sweep() == 1
    (message,) = bench.queued()
    assert message["headers"]["eta"] is not None
    go_to(bench, WEEK)
    bench.work()
    assert bench.status(ref) == "Succeeded"
    assert [event.at for event in bench.history(ref) if event.step == "After"] == [EPOCH + WEEK] * 4


def test_messages_in_flight_are_bounded_by_max_countdown(bench: Bench) -> None:
    """Of many waits that end one a minute, no more are published than end within the maximum countdown."""
    bench.build_container(max_countdown=60.0)
    go_to(bench, 0)
    bench.deploy(WAIT)
    for number in range(20):
        bench.container.starter.start("flow", {"seconds": 600 + 60 * number}, f"n{number}")
    bench.work()
    limit = 0
    for moment in range(0, 600 + 60 * 20 + 1, 30):
        go_to(bench, moment)
        bench.sweep()
        limit = max(limit, len({message["headers"]["id"] for message in bench.queued()}))
        for _ in bench.queued():
            key = bench.take()
            assert key is not None
            bench.container.engine.handle(key)  # too early, it is put back
    bench.work()
    assert limit <= 2
    assert {bench.status(ExecutionRef("flow", f"n{number}")) for number in range(20)} == {"Succeeded"}
