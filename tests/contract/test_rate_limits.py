"""A message that waits in a worker for a rate limit is not lost, so it is not published again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from pollflow.machine import Status
from pollflow.runtime import messages
from pollflow.runtime.rate_limits import Postponer
from pollflow.store import Message, MessageKey
from tests.contract.conftest import Bench
from tests.flows import EACH_PASS, PASSES, TASK, TIMED_TASK


@dataclass(frozen=True)
class Request:
    """What a worker's token bucket contains."""

    type: str
    args: Any


def request_of(bench: Bench, key: MessageKey, type: str = "pollflow.task") -> Request:
    record = bench.container.reading.frame(key.ref, key.frame)
    assert record is not None
    return Request(type, tuple(messages.args_of(Message(key, record.metadata))))


def postponer(bench: Bench, *waiting: Request) -> Postponer:
    return Postponer(bench.container.store, lambda: waiting, first_pause=4, clock=bench.now)


@pytest.mark.parametrize("flow", [TASK, PASSES, EACH_PASS])
def test_a_message_that_waits_for_its_rate_limit_is_not_published_again(bench: Bench, flow: str) -> None:
    ref = bench.start(flow, {"items": [1]})
    key = bench.take()
    waiting = postponer(bench, request_of(bench, key))
    for _ in range(600):
        bench.pass_time(1)
        waiting.postpone()
        assert (bench.sweep(), bench.queued()) == (0, [])
    bench.returns("call", {})
    bench.container.engine.handle(key)
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_the_messages_of_a_dead_worker_are_published_again_within_seconds(bench: Bench) -> None:
    ref = bench.start(TASK)
    bench.returns("call", {})
    waiting = postponer(bench, request_of(bench, bench.take()))
    for _ in range(600):
        bench.pass_time(1)
        waiting.postpone()
    bench.pass_time(16)
    assert bench.sweep() == 1
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_many_waiting_messages_cost_little(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    postponed: list[int] = []
    monkeypatch.setattr(bench.container.store, "postpone", lambda waiting: postponed.append(len(waiting)))
    args = [("flow", "x", "id", 1, "r", f"token{number}") for number in range(200)]
    waiting = postponer(bench, *[Request("pollflow.task", each) for each in args])
    for _ in range(600):
        waiting.postpone()
        bench.pass_time(1)
    assert sum(postponed) / 600 <= 26


def test_a_request_that_no_longer_waits_is_forgotten(bench: Bench) -> None:
    bench.start(TASK)
    requests = [request_of(bench, bench.take())]
    waiting = Postponer(bench.container.store, lambda: requests, first_pause=4, clock=bench.now)
    waiting.postpone()
    requests.clear()
    waiting.postpone()
    assert not waiting._postponed


def test_other_requests_are_ignored(bench: Bench) -> None:
    others = [Request("app.other", ()), Request("pollflow.sweep", ()), Request("pollflow.task", 5)]
    waiting = postponer(bench, *others)
    waiting.postpone()
    assert not waiting._postponed


def wake_of(bench: Bench, key: MessageKey) -> float | None:
    return bench.wakes(key.ref).get(key.frame)


def test_postponing_never_passes_the_deadline_nor_moves_a_wake_up_forward(bench: Bench) -> None:
    ref = bench.start(TIMED_TASK)
    key = bench.take()
    bench.claim(key, "dead.1")
    bench.pass_time(3)
    bench.container.store.postpone([(key, 100)])
    assert wake_of(bench, key) == bench.now() + 7
    bench.container.store.postpone([(key, 1)])
    assert wake_of(bench, key) == bench.now() + 7
    bench.pass_time(7)
    bench.sweep()
    assert bench.status(ref) == "Failed"


def test_only_the_entry_of_the_message_is_postponed(bench: Bench) -> None:
    bench.start(TASK)
    key = bench.take()
    before = wake_of(bench, key)
    stale = [
        replace(key, token="old"),
        replace(key, frame="r.1.0"),
        replace(key, execution=replace(key.execution, id="y")),
    ]
    bench.container.store.postpone([(each, 100) for each in stale])
    assert wake_of(bench, key) == before
    bench.claim(key, "alive.1")
    leased = wake_of(bench, key)
    bench.container.store.postpone([(key, 100)])
    assert wake_of(bench, key) == leased


def test_an_ended_execution_gets_no_wake_up(bench: Bench) -> None:
    ref = bench.start(TASK)
    key = bench.take()
    bench.container.engine.end(bench.key(ref), Status.STOPPED, "", "")
    before = bench.wakes(ref)
    bench.container.store.postpone([(key, 100)])
    assert bench.wakes(ref) == before
