"""A full Redis refuses a script before its first write, and never refuses a purge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis

from pollflow import StoreFull, StoreUnavailable
from pollflow.machine import Status
from pollflow.store import Claimed, ExecutionKey, ExecutionRef, MessageKey, RetryPolicy, connect
from pollflow.store.commands import Script
from pollflow.store.retrying import with_retry
from tests.contract.conftest import Bench
from tests.contract.flows import EACH, PASSES, TASK

Act = Callable[[], Any]


@pytest.fixture
def server(store_url: str) -> Iterator[Bench]:
    with Redis.from_url(store_url, decode_responses=True) as client:
        yield Bench(client)
        client.config_set("maxmemory", 0)  # also when the test fails: other tests use this server


@contextmanager
def full(bench: Bench) -> Iterator[None]:
    bench.redis.config_set("maxmemory", 1_000_000)
    try:
        yield
    finally:
        bench.redis.config_set("maxmemory", 0)


def everything(bench: Bench) -> dict[str, Any]:
    """Each key with its value. Not DUMP: it gives a hash in the order of its table, which a mere read may change."""
    redis = bench.redis
    readers: dict[str, Callable[[str], Any]] = {
        "string": redis.get,
        "hash": redis.hgetall,
        "set": redis.smembers,
        "list": lambda key: redis.lrange(key, 0, -1),
        "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
    }
    return {key: readers[redis.type(key)](key) for key in redis.scan_iter("*")}


def take(bench: Bench) -> MessageKey:
    key = bench.take()
    assert key is not None
    return key


def claimed(bench: Bench, key: MessageKey) -> Claimed:
    answer = bench.container.store.claim(key, "w.1")
    assert isinstance(answer, Claimed)
    return answer


def move_after(bench: Bench, handled: int) -> Act:
    for _ in range(handled):
        bench.container.engine.handle(take(bench))
    continued = claimed(bench, take(bench))
    return lambda: bench.container.engine.advance(continued)


def start(bench: Bench) -> Act:
    bench.deploy(PASSES)
    return lambda: bench.container.starter.start("flow", {}, "x")


def claim(bench: Bench) -> Act:
    bench.start(TASK)
    key = take(bench)
    return lambda: bench.container.store.claim(key, "w.1")


def advance(bench: Bench) -> Act:
    bench.start(PASSES)
    return move_after(bench, 0)


def fan_out(bench: Bench) -> Act:
    bench.start(EACH, {"items": [1, 2]})
    return move_after(bench, 0)


def join(bench: Bench) -> Act:
    bench.returns("call", {"v": 1})
    bench.start(EACH, {"items": [1, 2]})
    return move_after(bench, 1)


def go_on_after_joining(bench: Bench) -> Act:
    bench.returns("call", {"v": 1})
    bench.start(EACH, {"items": [1, 2]})
    return move_after(bench, 3)


def end(bench: Bench) -> Act:
    ref = bench.start(PASSES)
    return lambda: bench.container.engine.end(bench.key(ref), Status.STOPPED, "", "")


@pytest.mark.parametrize("prepare", [start, claim, advance, fan_out, join, go_on_after_joining, end])
def test_a_refused_script_changes_nothing_and_succeeds_when_there_is_room(
    server: Bench, prepare: Callable[[Bench], Act]
) -> None:
    act = prepare(server)
    before = everything(server)
    with full(server):
        with pytest.raises(StoreFull):
            act()
        assert everything(server) == before
    act()
    assert everything(server) != before


def test_leases_are_renewed_while_redis_is_full(server: Bench) -> None:
    server.start(TASK)
    key = take(server)
    claimed(server, key)
    with full(server):
        for _ in range(5):
            server.pass_time(2)
            assert server.container.store.renew(key, "w")
            assert server.sweep() == 0


def test_a_sweep_of_a_full_redis_still_purges(server: Bench) -> None:
    ended = server.start(PASSES, name="ended")
    server.work()
    server.sweep()
    server.pass_time(31 * 86_400)
    crashes = server.start(PASSES, name="lost")
    take(server)
    server.pass_time(3)
    with full(server):
        with pytest.raises(StoreFull):
            server.container.sweeper.sweep()
        assert server.redis.exists(server.container.store.keys.execution(ended)) == 0
    server.pass_time(2.1)
    server.sweep()
    server.work()
    assert server.status(crashes) == "Succeeded"


def test_an_interrupted_call_is_released_while_redis_is_full(server: Bench) -> None:
    ref = server.start(TASK)
    continued = claimed(server, take(server))
    with full(server):
        server.container.engine.release(continued)
    server.returns("call", {})
    server.work()
    assert server.status(ref) == "Succeeded"


def test_a_worker_keeps_a_result_until_there_is_room(server: Bench) -> None:
    ref = server.start(TASK)
    server.build_container(retry_policy=RetryPolicy(claim_seconds=30, commit_seconds=float("inf")))
    scripts = server.container.store.scripts
    asked: list[str] = []
    run = scripts.run

    def watched(script: Script[Any], keys: Any) -> Any:
        asked.append(script.NAME)
        server.redis.config_set("maxmemory", 1_000_000 if 1 < len(asked) < 4 else 0)
        return run(script, keys)

    scripts.run = watched  # type: ignore[method-assign]
    inputs = server.returns("call", {"done": True})
    server.container.engine.handle(take(server))
    assert asked == ["claim", "end", "end", "end"]
    assert server.output(ref) == {"done": True}
    assert len(inputs) == 1


def test_a_permanent_error_is_not_retried() -> None:
    tries = []

    def attempt() -> None:
        tries.append(1)
        raise StoreUnavailable("WRONGTYPE", is_temporary=False)

    with pytest.raises(StoreUnavailable):
        with_retry(attempt, float("inf"))
    assert len(tries) == 1


def test_retries_of_a_claim_are_bounded() -> None:
    bench = Bench(connect("redis://127.0.0.1:1/0", retry_seconds=0))
    bench.build_container(retry_policy=RetryPolicy(claim_seconds=0.2))
    with pytest.raises(StoreUnavailable):
        bench.container.store.claim(MessageKey(ExecutionKey(ExecutionRef("flow", "x"), "id"), "r", "t"), "w.1")
