"""A full Redis refuses a script before its first write, and never refuses a purge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pollflow import StoreFull, StoreUnavailable
from pollflow.machine import Status
from pollflow.store import ExecutionKey, ExecutionRef, MessageKey, RetryPolicy, connect
from pollflow.store.commands import Script
from pollflow.store.retrying import with_retry
from tests.contract.conftest import Bench
from tests.flows import EACH, PASSES, TASK

Action = Callable[[], Any]


@pytest.fixture
def server(server: Bench) -> Iterator[Bench]:
    yield server
    server.redis.config_set("maxmemory", 0)  # other tests use this server


@contextmanager
def full(bench: Bench) -> Iterator[None]:
    bench.redis.config_set("maxmemory", 1_000_000)
    try:
        yield
    finally:
        bench.redis.config_set("maxmemory", 0)


def everything(bench: Bench) -> dict[str, Any]:
    """Return all keys with their values. DUMP is not comparable: a read may change the order of a hash."""
    redis = bench.redis
    readers: dict[str, Callable[[str], Any]] = {
        "string": redis.get,
        "hash": redis.hgetall,
        "set": redis.smembers,
        "list": lambda key: redis.lrange(key, 0, -1),
        "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
    }
    return {key: readers[redis.type(key)](key) for key in redis.scan_iter("*")}


def advance_after(bench: Bench, handled: int) -> Action:
    for _ in range(handled):
        bench.handle_next()
    claimed = bench.claim()
    return lambda: bench.container.engine.advance(claimed)


def start(bench: Bench) -> Action:
    bench.deploy(PASSES)
    return lambda: bench.container.starter.start("flow", {}, "x")


def claim(bench: Bench) -> Action:
    bench.start(TASK)
    key = bench.take()
    return lambda: bench.container.store.claim(key, "w.1")


def advance(bench: Bench) -> Action:
    bench.start(PASSES)
    return advance_after(bench, 0)


def fan_out(bench: Bench) -> Action:
    bench.start(EACH, {"items": [1, 2]})
    return advance_after(bench, 0)


def fan_in(bench: Bench) -> Action:
    bench.returns("call", {"v": 1})
    bench.start(EACH, {"items": [1, 2]})
    return advance_after(bench, 1)


def continue_after_fan_in(bench: Bench) -> Action:
    bench.returns("call", {"v": 1})
    bench.start(EACH, {"items": [1, 2]})
    return advance_after(bench, 3)


def end(bench: Bench) -> Action:
    ref = bench.start(PASSES)
    return lambda: bench.container.engine.end(bench.key(ref), Status.STOPPED, "", "")


@pytest.mark.parametrize("prepare", [start, claim, advance, fan_out, fan_in, continue_after_fan_in, end])
def test_a_refused_script_changes_nothing_and_succeeds_later(server: Bench, prepare: Callable[[Bench], Action]) -> None:
    action = prepare(server)
    before = everything(server)
    with full(server):
        with pytest.raises(StoreFull):
            action()
        assert everything(server) == before
    action()
    assert everything(server) != before


def test_leases_are_renewed_while_redis_is_full(server: Bench) -> None:
    server.start(TASK)
    key = server.take()
    server.claim(key)
    with full(server):
        for _ in range(5):
            server.pass_time(2)
            assert server.container.store.renew([key], "w") == [True]
            assert server.sweep() == 0


def test_a_sweep_of_a_full_redis_still_purges(server: Bench) -> None:
    ended = server.start(PASSES, name="ended")
    server.work()
    server.sweep()
    server.pass_time(31 * 86_400)
    lost = server.start(PASSES, name="lost")
    server.take()
    server.pass_time(3)
    with full(server):
        with pytest.raises(StoreFull):
            server.container.sweeper.sweep()
        assert server.redis.exists(server.container.store.keys.execution(ended)) == 0
    server.pass_time(2.1)
    server.sweep()
    server.work()
    assert server.status(lost) == "Succeeded"


def test_an_interrupted_call_is_released_while_redis_is_full(server: Bench) -> None:
    ref = server.start(TASK)
    claimed = server.claim()
    with full(server):
        server.container.engine.release(claimed)
    server.returns("call", {})
    server.work()
    assert server.status(ref) == "Succeeded"


def test_a_worker_keeps_a_result_until_redis_accepts_writes(server: Bench) -> None:
    ref = server.start(TASK)
    server.build_container(retry_policy=RetryPolicy(claim_seconds=30, commit_seconds=float("inf")))
    scripts = server.container.store.scripts
    scripts_run: list[str] = []
    run = scripts.run

    def run_with_full_redis(script: Script[Any], keys: Any) -> Any:
        scripts_run.append(script.NAME)
        server.redis.config_set("maxmemory", 1_000_000 if 1 < len(scripts_run) < 4 else 0)
        return run(script, keys)

    scripts.run = run_with_full_redis  # type: ignore[method-assign]
    inputs = server.returns("call", {"done": True})
    server.handle_next()
    assert scripts_run == ["claim", "end", "end", "end"]
    assert server.output(ref) == {"done": True}
    assert len(inputs) == 1


def test_a_permanent_error_is_not_retried() -> None:
    calls = []

    def attempt() -> None:
        calls.append(1)
        raise StoreUnavailable("WRONGTYPE", is_temporary=False)

    with pytest.raises(StoreUnavailable):
        with_retry(attempt, float("inf"))
    assert len(calls) == 1


def test_retries_of_a_claim_are_bounded() -> None:
    bench = Bench(connect("redis://127.0.0.1:1/0", retry_seconds=0))
    bench.build_container(retry_policy=RetryPolicy(claim_seconds=0.2))
    with pytest.raises(StoreUnavailable):
        bench.container.store.claim(MessageKey(ExecutionKey(ExecutionRef("flow", "x"), "id"), "r", "t"), "w.1")
