"""The sweep and the background work of a worker: bad entries, slow sweeps and clocks that jump."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from pollflow import StoreUnavailable, TaskError, UnreadableRecord
from pollflow.machine import ReportedSucceeded, Status
from pollflow.runtime.keeper import WORKER, Keeper
from pollflow.store import LEASED, Claimed, ExecutionRef, MessageKey, Reading
from tests.contract.conftest import Bench
from tests.contract.flows import CALLBACK, PASSES, RETRIES, TASK, TIMED_TASK, WAIT
from tests.contract.sub_flows import token_of


def take(bench: Bench) -> MessageKey:
    key = bench.take()
    assert key is not None
    return key


def of_a_later_layout(bench: Bench, ref: ExecutionRef) -> str:
    """Makes the state of an execution's root frame one of a later release; the state as it was."""
    key = bench.container.store.keys.frame(ref, "r")
    state: str = bench.redis.hget(key, "state")
    bench.redis.hset(key, "state", state.replace('"v":1', '"v":999'))
    return state


@pytest.mark.parametrize("bad", ["layout", "definition", "state"])
def test_a_wake_up_that_fails_does_not_block_the_others(bench: Bench, bad: str) -> None:
    refs = [bench.start(TIMED_TASK, name=f"n{number}") for number in range(40)]
    for _ in refs:
        bench.container.store.claim(take(bench), "dead.1")
    for ref in refs[:20]:
        if bad == "layout":
            of_a_later_layout(bench, ref)
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

    def frame(*_: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(Reading, "frame", frame)
    with pytest.raises(StoreUnavailable):
        bench.sweep()


def test_a_call_with_a_later_layout_is_neither_leased_nor_counted(bench: Bench) -> None:
    ref = bench.start(TASK)
    key = take(bench)
    state = of_a_later_layout(bench, ref)
    before = bench.history(ref)
    for _ in range(3):
        with pytest.raises(UnreadableRecord):
            bench.container.store.claim(key, "old.1")
    assert bench.history(ref) == before
    bench.redis.hset(bench.container.store.keys.frame(ref, "r"), "state", state)
    claimed = bench.container.store.claim(key, "new.1")
    assert isinstance(claimed, Claimed) and claimed.starts == 1


def test_an_expired_call_that_is_queued_is_not_published_again(bench: Bench) -> None:
    bench.start(TASK)
    bench.container.store.claim(take(bench), "dead.1")
    for _ in range(600):
        bench.pass_time(1)
        bench.sweep()
    assert len(bench.queued()) == 1


def test_an_expired_call_is_published_again_after_a_second_loss(bench: Bench) -> None:
    ref = bench.start(TASK)
    bench.returns("call", {})
    bench.container.store.claim(take(bench), "dead.1")
    for _ in range(2):
        while not bench.queued():
            bench.pass_time(1)
            bench.sweep()
        crashes = take(bench)
    bench.container.engine.handle(crashes)
    assert bench.status(ref) == "Succeeded"


def test_a_lease_holds_after_the_redis_clock_went_back(bench: Bench) -> None:
    bench.start(TASK)
    key = take(bench)
    bench.container.store.claim(key, "alive.1")
    bench.pass_time(-3600)
    assert bench.container.store.renew(key, "alive")
    assert bench.container.store.claim(key, "other.1") is LEASED


def test_a_lease_expires_in_time_after_the_redis_clock_went_back(bench: Bench) -> None:
    call = 'type: task, name: B, resourceArn: "acs:fc:::services/s/functions/call"'
    ref = bench.start(PASSES.replace("type: pass, name: B", call))
    bench.returns("call", {})
    bench.container.engine.handle(take(bench))
    bench.pass_time(-3600)
    bench.container.store.claim(take(bench), "dead.1")
    bench.pass_time(3.1)
    bench.sweep()
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_a_deadline_does_not_end_a_namesake(bench: Bench) -> None:
    """A sweep takes the deadline, and before it acts, the execution is purged and its name is used again."""
    text = WAIT + "timeoutSeconds: 25\n"
    ref = bench.start(text, {"seconds": 3600})
    bench.pass_time(26)
    _, members = bench.container.store.due(ref.shard, 10)
    assert f"{ref}|!deadline" in members
    bench.container.engine.end(ref, Status.STOPPED, "", "")
    bench.container.maintenance.purge(bench.container.reading.execution(ref))
    bench.start(text, {"seconds": 3600})
    bench.container.maintenance.do(ref, "deadline")
    assert bench.status(ref) == "Running"
    bench.pass_time(26)
    bench.sweep()
    assert bench.status(ref) == "TimedOut"


@pytest.mark.parametrize("text", [WAIT, RETRIES.replace(": 10,", ": 86400,")], ids=["wait", "retry"])
def test_a_long_wait_that_begins_during_a_sweep_is_not_published(bench: Bench, text: str) -> None:
    bench.returns("call", TaskError("Busy"), {})
    ref = bench.start(text, {"seconds": 86_400})
    key = take(bench)
    bench.pass_time(3)
    due = bench.container.store.due

    def due_and_then_moved(shard: int, limit: int) -> tuple[float, list[str]]:
        found = due(shard, limit)
        if found[1]:
            bench.container.engine.handle(key)
        return found

    bench.container.store.due = due_and_then_moved  # type: ignore[method-assign]
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
    key = take(bench)
    keys = bench.container.store.keys
    frame, wakes = bench.redis.hgetall(keys.frame(ref, "r")), bench.wakes(ref)
    bench.container.store.claim(key, "alive.1")
    bench.redis.delete(keys.frame(ref, "r"))
    bench.redis.hset(keys.frame(ref, "r"), mapping=frame)
    bench.redis.zadd(keys.wake(ref.shard), {f"{ref}|{member}": score for member, score in wakes.items()})
    for _ in range(4):
        bench.pass_time(1)
        assert bench.container.store.renew(key, "alive", has_begun=True)
        bench.sweep()
    assert [bench.work(), bench.status(ref)] == [1, "Succeeded"]


def test_a_duplicate_message_does_not_renew_the_next_step(bench: Bench) -> None:
    ref = bench.start(WAIT, {"seconds": 1})
    bench.container.engine.handle(take(bench))
    key = take(bench)
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
        bench.container.store.renew(key, "other")
        bench.sweep()
    bench.work()
    assert bench.status(ref) == "Succeeded"


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_late_purge_does_not_touch_a_namesake(bench: Bench, has_ended: bool) -> None:
    ref = bench.start(WAIT, {"seconds": 1000})
    bench.container.engine.end(ref, Status.STOPPED, "", "")
    old = bench.container.reading.execution(ref)
    bench.container.maintenance.purge(old)
    bench.start(WAIT, {"seconds": 1000})
    if has_ended:
        bench.container.engine.end(ref, Status.STOPPED, "", "")
    before = bench.wakes(ref)
    bench.container.maintenance.purge(old)
    assert bench.container.reading.frame(ref, "r") is not None
    assert (bench.status(ref), bench.wakes(ref)) == ("Stopped" if has_ended else "Running", before)


def test_a_function_that_always_exits_fails_its_step(bench: Bench) -> None:
    def leave(input: Any, context: Any) -> Any:
        raise SystemExit(1)

    bench.functions.register("call", leave)
    ref = bench.start(TASK)
    for _ in range(5):
        with pytest.raises(SystemExit):
            bench.work()
    bench.work()
    record = bench.container.reading.execution(ref)
    assert (record.error, record.cause) == ("FC.Unknown", "the call was cut off 5 times by the end of its process")


CONSUMER = SimpleNamespace(pool=SimpleNamespace(num_processes=1))


def keeper_of(renew: Any, sweep: Any, terminate: Any = None) -> Keeper:
    """The background of a worker that holds one request."""
    container: Any = SimpleNamespace(
        store=SimpleNamespace(renew=renew),
        sweeper=SimpleNamespace(sweep=sweep),
        settings=SimpleNamespace(sweep_interval=0.01, sweep_in_workers=True),
        is_announced=lambda: True,
    )
    return Keeper(container, None, CONSUMER, terminate)  # type: ignore[arg-type]


def test_a_worker_continues_to_sweep_after_an_error() -> None:
    loops, is_over, never = iter([1, 2]), threading.Event(), threading.Event()

    def sweep() -> None:
        if next(loops, None) is not None:
            raise RuntimeError("unthought of")
        is_over.set()
        never.wait()

    keeper = keeper_of(None, sweep)
    keeper.container.is_announced = lambda: never.wait()  # type: ignore[method-assign]
    keeper.start()
    assert is_over.wait(5)


@pytest.mark.parametrize("is_active", [True, False])
def test_only_a_running_call_is_terminated(is_active: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    request, ended, loops = Request(), list[int](), 0
    active = {request}
    monkeypatch.setattr("pollflow.runtime.keeper.worker_state.active_requests", active)
    monkeypatch.setattr("pollflow.runtime.keeper.worker_state.reserved_requests", {request})

    def renew(*_: object, has_begun: bool) -> bool:
        nonlocal loops
        loops += 1
        if loops == 3 and not is_active:
            active.clear()  # it comes to its end while Redis is asked
        return False

    keeper = keeper_of(renew, None, ended.append)
    for _ in range(5):
        keeper.keep()
    assert ended == ([4711] if is_active else [])


@pytest.mark.parametrize("why", ["idle", "busy", "begins others"])
def test_an_idle_worker_stops_renewing_a_message_it_does_not_begin(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    crashes, other, begun_so_far, renewed = Request(), Request(), [1], list[bool]()
    state = "pollflow.runtime.keeper.worker_state"
    monkeypatch.setattr(f"{state}.active_requests", {other} if why == "busy" else set())
    monkeypatch.setattr(f"{state}.reserved_requests", {crashes})
    monkeypatch.setattr(f"{state}.all_total_count", begun_so_far)

    def renew(*_: object, has_begun: bool) -> bool:
        renewed.append(has_begun)
        return True

    keeper = keeper_of(renew, None)
    for _ in range(10):
        keeper.keep()
        begun_so_far[0] += why == "begins others"
    # The first loop only counts the begun messages; the third idle one after it stops to renew.
    assert renewed.count(False) == (3 if why == "idle" else 10)


@dataclass(eq=False)
class Request:
    """A step message as Celery holds it."""

    args: tuple[str, ...] = ("flow", "x", "r", "token")
    request_dict: dict[str, Any] = field(default_factory=dict)
    time_start: float = 0.0
    name: ClassVar[str] = "pollflow.task"
    worker_pid: ClassVar[int] = 4711
    id: ClassVar[str] = "1"
    eta: ClassVar[None] = None


def run_next(bench: Bench, monkeypatch: pytest.MonkeyPatch, *, since_seconds: float = 0) -> tuple[Keeper, list[int]]:
    """The background of a worker that runs the call of the next message, and what it ends."""
    headers, key, ended = bench.queued()[0]["headers"], take(bench), list[int]()
    bench.container.store.claim(key, f"{WORKER}.1")
    args = (key.ref.flow, key.ref.name, key.frame, key.token)
    request = Request(args, headers, time.time() - since_seconds)
    monkeypatch.setattr("pollflow.runtime.keeper.worker_state.active_requests", {request})
    monkeypatch.setattr("pollflow.runtime.keeper.worker_state.reserved_requests", {request})
    return Keeper(bench.container, bench.functions, CONSUMER, ended.append), ended


@pytest.mark.parametrize("pattern", ["requestResponse", "waitForCallback"])
def test_a_function_whose_attempt_timed_out_is_terminated_once(
    bench: Bench, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = RETRIES.replace("Busy", "FnF.TaskTimeout") + f"    timeoutSeconds: 10\n    pattern: {pattern}\n"
    bench.start(text)
    keeper, ended = run_next(bench, monkeypatch, since_seconds=11)
    bench.pass_time(11)
    bench.sweep()
    for _ in range(10):
        keeper.keep()
    assert ended == [4711]


def test_a_function_whose_callback_was_reported_is_not_terminated(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = bench.start(CALLBACK + "  - {type: wait, name: Long, duration: 1000}\n")
    keeper, ended = run_next(bench, monkeypatch)
    bench.container.engine.report(token_of(bench, ref), ReportedSucceeded({}))
    for _ in range(10):
        keeper.keep()
    assert ended == []
