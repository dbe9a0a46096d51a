"""Thousands of due entries after an hour without workers, and waits longer than the maximum countdown."""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest

from pollflow.runtime.routes import DEFAULT_QUEUE
from pollflow.store import ExecutionRef
from tests.contract.conftest import EPOCH, Bench
from tests.flows import PASSES, WAIT

# The second run of CI, on another server, is shorter.
ENTRIES = 2_000 if os.environ.get("POLLFLOW_TEST_SERVER") else 5_000
HANDLED = 500
HOUR, WEEK = 3600.0, 7 * 86_400.0


def set_clock(bench: Bench, seconds: float) -> None:
    """Set the clock to `seconds` after EPOCH."""
    bench.clock.frozen_at = EPOCH + seconds


@pytest.mark.slow
def test_messages_after_an_hour_without_workers_are_not_stale(server: Bench) -> None:
    set_clock(server, 0)
    server.deploy(PASSES)
    for number in range(ENTRIES):
        server.container.starter.start("flow", {}, f"n{number}")
    server.redis.delete(DEFAULT_QUEUE)  # killed workers had taken all messages
    # Beat continues to sweep.
    for moment in (5, HOUR):
        set_clock(server, moment)
        while server.sweep():
            pass
    queued = Counter(message["headers"]["id"].partition("~")[0] for message in server.queued())
    assert len(queued) == ENTRIES
    assert max(queued.values()) <= 2
    # Workers are back: each of the first messages advances its execution.
    for _ in range(HANDLED):
        server.handle_next()
    newest = [json.loads(text) for text in server.redis.lrange(DEFAULT_QUEUE, 0, HANDLED - 1)]
    assert sum("'B'" in message["headers"]["argsrepr"] for message in newest) >= 0.95 * HANDLED


def test_a_wait_of_a_week_is_published_once_within_max_countdown(bench: Bench) -> None:
    """With a visibility timeout of 10 s the maximum countdown may be 5 s."""
    bench.build_container(max_countdown=5.0)
    set_clock(bench, 0)
    ref = bench.start(WAIT, {"seconds": WEEK})
    bench.work()
    for hour in range(1, 7 * 24):
        set_clock(bench, hour * HOUR)
        assert (bench.sweep(), bench.queued()) == (0, [])
    set_clock(bench, WEEK - 5.1)
    assert (bench.sweep(), bench.queued()) == (0, [])
    set_clock(bench, WEEK - 5)
    assert bench.sweep() == 1
    (message,) = bench.queued()
    assert message["headers"]["eta"] is not None
    set_clock(bench, WEEK)
    bench.work()
    assert bench.status(ref) == "Succeeded"
    assert [event.at for event in bench.history(ref) if event.step == "After"] == [EPOCH + WEEK] * 4


def test_messages_in_flight_are_bounded_by_max_countdown(bench: Bench) -> None:
    """Waits end once a minute; only those that end within the maximum countdown have messages."""
    bench.build_container(max_countdown=60.0)
    set_clock(bench, 0)
    bench.deploy(WAIT)
    for number in range(20):
        bench.container.starter.start("flow", {"seconds": 600 + 60 * number}, f"n{number}")
    bench.work()
    highest = 0
    for moment in range(0, 600 + 60 * 20 + 1, 30):
        set_clock(bench, moment)
        bench.sweep()
        highest = max(highest, len({message["headers"]["id"] for message in bench.queued()}))
        for _ in bench.queued():
            bench.handle_next()  # a message that is too early returns to the queue
    bench.work()
    assert highest <= 2
    assert {bench.status(ExecutionRef("flow", f"n{number}")) for number in range(20)} == {"Succeeded"}
