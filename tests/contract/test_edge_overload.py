"""All workers are away for an hour with 20,000 entries due; and waits far beyond what a broker would hold."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest
from redis import Redis

from pollflow.runtime import messages
from pollflow.runtime.routes import DEFAULT_QUEUE
from tests.contract.conftest import Bench
from tests.contract.flows import PASSES, WAIT

ENTRIES = 20_000
HOUR, WEEK = 3600, 7 * 86_400


@pytest.fixture
def server(store_url: str) -> Iterator[Bench]:
    with Redis.from_url(store_url, decode_responses=True) as client:
        yield Bench(client)


def commits(bench: Bench) -> int:
    """How many transitions there were, by what the queue has been given."""
    return int(bench.redis.info("commandstats")["cmdstat_lpush"]["calls"])


def test_after_an_hour_without_workers_the_first_second_is_spent_on_work(server: Bench) -> None:
    begun = time.monotonic()
    server.deploy(PASSES)
    for number in range(ENTRIES):
        server.parts.starter.start("flow", {}, f"n{number}")
    server.redis.delete(DEFAULT_QUEUE)  # the workers had taken them all, and were killed
    # A beat sweeps on, far less often here than there, and everything that is due each time.
    for pause in (5, 55, 240, 600, 2700):
        server.pass_time(pause)
        while server.sweep():
            if time.monotonic() - begun > 50:
                raise AssertionError("the sweeps take too long")
    queued = Counter(message["headers"]["id"] for message in server.queued())
    assert len(queued) == ENTRIES
    assert max(queued.values()) <= 2
    # Workers are back: each of the first messages moves its execution.
    handled = 0
    second = time.monotonic() + 1
    while time.monotonic() < second:
        address = server.take()
        assert address is not None
        server.parts.engine.handle(address)
        handled += 1
    moved = sum(1 for text in server.redis.lrange(DEFAULT_QUEUE, 0, handled) if '"pollflow_sent_at"' in text)
    entered = Counter(message["headers"]["argsrepr"].split(", ")[2] for message in map(_load, _newest(server, handled)))
    assert moved >= handled
    assert entered["'B'"] >= 0.95 * handled
    assert time.monotonic() - begun < 60


def _newest(bench: Bench, count: int) -> list[str]:
    return list(bench.redis.lrange(DEFAULT_QUEUE, 0, count - 1))


def _load(text: str) -> dict[str, dict[str, str]]:
    import json

    return dict(json.loads(text))


def test_a_wait_of_a_week_is_in_no_broker_before_it_comes_within_the_horizon(bench: Bench) -> None:
    """With a visibility timeout of 10 s the horizon may be 5 s at most."""
    bench.assemble(horizon=5.0)
    ref = bench.start(WAIT, {"seconds": WEEK})
    bench.work()
    for _ in range(7 * 24 - 1):
        bench.pass_time(HOUR)
        assert (bench.sweep(), bench.queued()) == (0, [])
    bench.pass_time(HOUR - 6)
    assert (bench.sweep(), bench.queued()) == (0, [])
    bench.pass_time(2)
    assert bench.sweep() == 1
    (message,) = bench.queued()
    assert messages.sent_at(bench.redis.lindex(DEFAULT_QUEUE, 0)) is not None
    assert message["headers"]["eta"] is not None
    bench.pass_time(5)
    bench.work()
    assert bench.status(ref) == "Succeeded"
    events = [event for event in bench.history(ref) if event.step == "After"]
    begun = bench.history(ref)[0].at
    assert WEEK <= events[0].at - begun < WEEK + 2


def test_what_a_worker_may_hold_is_bounded_by_what_is_due_within_the_horizon(bench: Bench) -> None:
    """Of a hundred waits, one a minute, no more are ever published than end within the horizon."""
    bench.assemble(horizon=60.0)
    bench.deploy(WAIT)
    for number in range(100):
        bench.parts.starter.start("flow", {"seconds": 3600 + 60 * number}, f"n{number}")
    bench.work()
    most = 0
    for _ in range(3600 // 10 + 100 * 6 + 1):
        bench.pass_time(10)
        bench.sweep()
        most = max(most, len(bench.queued()))
        for _ in range(len(bench.queued())):
            text = bench.redis.rpop(DEFAULT_QUEUE)
            address = messages.address_of(_args(text))
            bench.parts.engine.handle(address)
        most = max(most, len(bench.queued()))
    assert most <= 2
    assert len(bench.parts.reading.executions(flow="flow", status=None, most=200)) == 100


def _args(text: str) -> list[str]:
    import json

    return list(json.loads(json.loads(text)["body"])[0])
