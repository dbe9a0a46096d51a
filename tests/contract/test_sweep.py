"""The sweep and background jobs: unreadable entries, slow sweeps and clocks that jump."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pollflow import StoreUnavailable, TaskError, UnreadableRecord
from pollflow.machine import Status
from pollflow.runtime.background import run_in_background
from pollflow.store import LEASED, Claimed, ExecutionRef, Reading, WakeUp, commands
from tests.contract.conftest import Bench
from tests.flows import PASSES, RETRIES, TASK, TIMED_TASK, WAIT


def set_later_layout(bench: Bench, ref: ExecutionRef) -> str:
    """Give the root frame the layout of a later release. Return its own layout."""
    key = bench.container.store.keys.frame(ref, "r")
    layout: str = bench.redis.hget(key, "layout")
    bench.redis.hset(key, "layout", 999)
    return layout


@pytest.mark.parametrize("bad", ["layout", "definition", "state"])
def test_a_wake_up_that_fails_does_not_block_others(bench: Bench, bad: str) -> None:
    refs = [bench.start(TIMED_TASK, name=f"n{number}") for number in range(40)]
    for _ in refs:
        bench.container.store.claim(bench.take(), "dead.1")
    for ref in refs[:20]:
        if bad == "layout":
            set_later_layout(bench, ref)
        elif bad == "state":
            bench.redis.hset(bench.container.store.keys.frame(ref, "r"), "state", "{")
        else:
            bench.redis.hset(bench.container.store.keys.execution(ref), "digest", "0" * 64)
    bench.pass_time(11)
    bench.sweep()
    assert {bench.status(ref) for ref in refs[20:]} == {"Failed"}
    assert {bench.status(ref) for ref in refs[:20]} == {"Running"}


def test_a_sweep_without_redis_raises_store_unavailable(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.start(PASSES)
    bench.pass_time(3)

    def due_entries(*_: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(Reading, "due_entries", due_entries)
    with pytest.raises(StoreUnavailable):
        bench.sweep()


def test_a_call_with_a_later_layout_is_neither_leased_nor_counted(bench: Bench) -> None:
    ref = bench.start(TASK)
    key = bench.take()
    layout = set_later_layout(bench, ref)
    before = bench.history(ref)
    for _ in range(3):
        with pytest.raises(UnreadableRecord):
            bench.container.store.claim(key, "old.1")
    assert bench.history(ref) == before
    bench.redis.hset(bench.container.store.keys.frame(ref, "r"), "layout", layout)
    claimed = bench.container.store.claim(key, "new.1")
    assert isinstance(claimed, Claimed) and claimed.starts == 1


def test_an_expired_call_that_is_queued_is_not_published_again(bench: Bench) -> None:
    bench.start(TASK)
    bench.container.store.claim(bench.take(), "dead.1")
    for _ in range(200):
        bench.pass_time(3)
        bench.sweep()
    assert len(bench.queued()) == 1


def test_an_expired_call_is_published_again_after_a_second_loss(bench: Bench) -> None:
    ref = bench.start(TASK)
    bench.returns("call", {})
    bench.container.store.claim(bench.take(), "dead.1")
    for _ in range(2):
        while not bench.queued():
            bench.pass_time(1)
            bench.sweep()
        key = bench.take()
    bench.container.engine.handle(key)
    assert bench.status(ref) == "Succeeded"


def test_a_lease_holds_after_the_redis_clock_went_back(bench: Bench) -> None:
    bench.start(TASK)
    key = bench.take()
    bench.container.store.claim(key, "alive.1")
    bench.pass_time(-3600)
    assert bench.container.store.renew([key], "alive") == [True]
    assert bench.container.store.claim(key, "other.1") is LEASED


def test_a_lease_expires_in_time_after_the_redis_clock_went_back(bench: Bench) -> None:
    call = 'type: task, name: B, resourceArn: "acs:fc:::services/s/functions/call"'
    ref = bench.start(PASSES.replace("type: pass, name: B", call))
    bench.returns("call", {})
    bench.handle_next()
    bench.pass_time(-3600)
    bench.container.store.claim(bench.take(), "dead.1")
    bench.pass_time(3.1)
    bench.sweep()
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_a_deadline_does_not_end_a_namesake(bench: Bench) -> None:
    """After the sweep has read the job, the execution is purged and its name is used again."""
    text = WAIT + "timeoutSeconds: 25\n"
    ref = bench.start(text, {"seconds": 3600})
    bench.pass_time(26)
    wake_up = WakeUp(bench.key(ref), job="deadline")
    assert str(wake_up) in bench.container.store.due(ref.shard, 10).members
    key = bench.key(ref)
    bench.container.engine.end(key, Status.STOPPED, "", "")
    bench.container.maintenance.purge(bench.container.reading.execution(ref))
    bench.start(text, {"seconds": 3600})
    bench.container.maintenance.time_out(key)
    assert bench.status(ref) == "Running"
    bench.pass_time(26)
    bench.sweep()
    assert bench.status(ref) == "TimedOut"


@pytest.mark.parametrize("text", [WAIT, RETRIES.replace(": 10,", ": 86400,")], ids=["wait", "retry"])
def test_a_long_wait_that_starts_during_a_sweep_is_not_published(bench: Bench, text: str) -> None:
    bench.returns("call", TaskError("Busy"), {})
    ref = bench.start(text, {"seconds": 86_400})
    key = bench.take()
    bench.pass_time(3)
    due = bench.container.store.due

    def due_then_advance(shard: int, limit: int) -> commands.DueDone:
        found = due(shard, limit)
        if found.members:
            bench.container.engine.handle(key)
        return found

    bench.container.store.due = due_then_advance  # type: ignore[method-assign]
    bench.sweep()
    bench.container.store.due = due  # type: ignore[method-assign]
    assert bench.queued() == []
    bench.pass_time(86_401)
    bench.sweep()
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_an_entry_whose_claim_was_lost_runs_again(bench: Bench) -> None:
    bench.returns("call", {})
    ref = bench.start(TASK)
    key = bench.take()
    keys = bench.container.store.keys
    fields, wakes = bench.redis.hgetall(keys.frame(ref, "r")), bench.wakes(ref)
    bench.container.store.claim(key, "alive.1")
    bench.redis.delete(keys.frame(ref, "r"))
    bench.redis.hset(keys.frame(ref, "r"), mapping=fields)
    bench.redis.zadd(
        keys.wake(ref.shard), {str(WakeUp(bench.key(ref), frame=frame)): at for frame, at in wakes.items()}
    )
    for _ in range(4):
        bench.pass_time(1)
        assert bench.container.store.renew([key], "alive") == [True]
        bench.sweep()
    assert [bench.work(), bench.status(ref)] == [1, "Succeeded"]


def test_a_duplicate_message_does_not_renew_the_next_step(bench: Bench) -> None:
    ref = bench.start(WAIT, {"seconds": 1})
    bench.handle_next()
    key = bench.take()
    bench.pass_time(1)
    commit = bench.container.store.commit

    def commit_and_die(*args: Any, **options: Any) -> None:
        commit(*args, **options)
        raise SystemExit

    bench.container.store.commit = commit_and_die  # type: ignore[method-assign, assignment]
    with pytest.raises(SystemExit):
        bench.container.engine.handle(key)
    bench.container.store.commit = commit  # type: ignore[method-assign]
    for _ in range(4):
        bench.pass_time(1)
        bench.container.store.renew([key], "other")
        bench.sweep()
    bench.work()
    assert bench.status(ref) == "Succeeded"


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_late_purge_does_not_touch_a_namesake(bench: Bench, has_ended: bool) -> None:
    ref = bench.start(WAIT, {"seconds": 1000})
    bench.container.engine.end(bench.key(ref), Status.STOPPED, "", "")
    old = bench.container.reading.execution(ref)
    bench.container.maintenance.purge(old)
    bench.start(WAIT, {"seconds": 1000})
    if has_ended:
        bench.container.engine.end(bench.key(ref), Status.STOPPED, "", "")
    before = bench.wakes(ref)
    bench.container.maintenance.purge(old)
    assert bench.container.reading.frame(ref, "r") is not None
    assert (bench.status(ref), bench.wakes(ref)) == ("Stopped" if has_ended else "Running", before)


def test_a_call_that_is_terminated_each_time_fails_its_step(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(input: Any, context: Any) -> Any:
        monkeypatch.setattr("billiard.common._should_have_exited", [True])
        raise SystemExit(1)

    bench.functions.register("call", leave)
    ref = bench.start(TASK)
    for _ in range(5):
        with pytest.raises(SystemExit):
            bench.work()
    bench.work()
    record = bench.container.reading.execution(ref)
    assert (record.error, record.cause) == ("FC.Unknown", "the process of the call ended 5 times before it returned")


@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError(), StoreUnavailable("another Redis is away")])
def test_a_call_that_raises_is_made_once_and_fails_its_step(bench: Bench, error: BaseException) -> None:
    calls = []

    def fails(input: Any, context: Any) -> Any:
        calls.append(input)
        raise error

    bench.functions.register("call", fails)
    ref = bench.start(TASK)
    bench.work()
    record = bench.container.reading.execution(ref)
    assert (record.error, record.cause, len(calls)) == (type(error).__name__, str(error), 1)
    (failed,) = [event for event in bench.history(ref) if event.type == "TaskFailed"]
    line = fails.__code__.co_firstlineno + 2
    assert failed.detail["traceback"][-1].startswith(f"tests/contract/test_sweep.py:{line} in ")


def test_a_background_job_continues_after_an_error() -> None:
    loops, is_over, never = iter([1, 2]), threading.Event(), threading.Event()

    def sweep() -> None:
        if next(loops, None) is not None:
            raise RuntimeError("unexpected")
        is_over.set()
        never.wait()

    run_in_background("test", sweep, 0.01)
    assert is_over.wait(5)
