"""Wake-ups: redelivery of lost messages, countdowns, leases, deadlines and retries."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from fakeredis import FakeRedis

from pollflow import Context, TaskError
from pollflow.runtime.routes import DEFAULT_QUEUE, Routes
from pollflow.store import Early
from tests.contract.conftest import Bench
from tests.flows import CALLBACK, PASSES, RETRIES, TASK, TIMED_TASK, WAIT


def test_a_lost_message_is_published_again_after_its_timeout(bench: Bench) -> None:
    ref = bench.start(PASSES)
    bench.take()
    assert bench.sweep() == 0
    bench.pass_time(2.1)
    assert bench.sweep() == 1
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_an_early_message_does_not_delay_its_redelivery(bench: Bench) -> None:
    ref = bench.start(WAIT, {"seconds": 30})
    bench.handle_next()
    due = bench.container.reading.frame(ref, "r").due  # type: ignore[union-attr]
    for _ in range(8):
        bench.handle_next()
        assert bench.wakes(ref)["r"] == pytest.approx(due + 2)
    bench.redis.delete("celery")
    bench.pass_time(32.1)
    bench.sweep()
    assert len(bench.queued()) == 1
    assert bench.wakes(ref)["r"] == pytest.approx(due + 2.1 + 4)


def test_redeliveries_of_an_entry_back_off(bench: Bench) -> None:
    bench.start(PASSES)
    bench.take()
    moments = []
    for second in range(130):
        bench.pass_time(1)
        bench.sweep()
        if bench.take_or_none() is not None:
            moments.append(second)
    pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert 4 <= len(moments) <= 6
    assert all(later >= 1.8 * earlier for earlier, later in itertools.pairwise(pauses))


def test_a_message_in_a_long_queue_is_not_published_again(bench: Bench) -> None:
    for number in range(20):
        bench.start(PASSES, name=f"n{number}")
    for _ in range(200):
        bench.pass_time(3)
        bench.sweep()
    assert len(bench.queued()) == 20


def test_an_outage_of_all_workers_queues_at_most_two_messages_per_entry(bench: Bench) -> None:
    entries = 100 if isinstance(bench.redis, FakeRedis) else 500  # fakeredis takes 15 ms for each
    bench.deploy(WAIT)
    for number in range(entries):
        bench.container.starter.start("flow", {"seconds": 5}, f"n{number}")
    for _ in range(entries):
        bench.handle_next()
    bench.redis.delete(DEFAULT_QUEUE)  # killed workers had received the messages
    for _ in range(60):
        bench.pass_time(10)
        bench.sweep()
    assert entries <= len(bench.queued()) <= 2 * entries
    assert {message["headers"]["task"] for message in bench.queued()} == {"pollflow.pass"}


def test_a_long_wait_is_published_once_within_max_countdown(bench: Bench) -> None:
    bench.build_container(max_countdown=60.0)
    ref = bench.start(WAIT, {"seconds": 3600})
    bench.work()
    assert bench.queued() == []
    bench.pass_time(3600 - 61)
    assert (bench.sweep(), bench.queued()) == (0, [])
    bench.pass_time(2)
    bench.sweep()
    (message,) = bench.queued()
    assert message["headers"]["eta"] is not None
    assert bench.status(ref) == "Running"
    bench.pass_time(60)
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_a_short_wait_is_a_countdown_on_the_message_of_the_next_step(bench: Bench) -> None:
    bench.start(WAIT, {"seconds": 30})
    bench.handle_next()
    (message,) = bench.queued()
    headers = message["headers"]
    assert headers["task"] == "pollflow.pass"
    assert headers["argsrepr"] == "('flow', 'x', 'After', 'visit 1', 'attempt 1')"
    assert headers["eta"] is not None


def test_a_call_of_a_dead_worker_is_published_when_its_lease_expires(bench: Bench) -> None:
    ref = bench.start(TASK)
    inputs = bench.returns("call", {})
    bench.container.store.claim(bench.take(), "dead.1")
    bench.pass_time(2)
    assert bench.sweep() == 0
    bench.pass_time(1.1)
    assert bench.sweep() == 1
    bench.work()
    assert (bench.status(ref), len(inputs)) == ("Succeeded", 1)


def test_a_worker_that_renews_its_lease_keeps_its_call(bench: Bench) -> None:
    bench.start(TASK)
    key = bench.take()
    bench.container.store.claim(key, "alive.1")
    for _ in range(10):
        bench.pass_time(2)
        assert bench.container.store.renew([key], "alive") == [True]
        assert bench.sweep() == 0
    assert bench.container.store.renew([key], "other") == [False]


def test_a_prefetched_message_that_is_not_started_is_redelivered(bench: Bench) -> None:
    bench.start(TASK)
    bench.take()
    for _ in range(120):
        bench.pass_time(5)
        bench.sweep()
    assert len(bench.queued()) == 1


def test_an_ended_entry_cannot_be_renewed(bench: Bench) -> None:
    bench.start(PASSES)
    key = bench.take()
    bench.container.engine.handle(key)
    assert bench.container.store.renew([key], "alive") == [False]


def test_a_call_times_out_though_its_worker_renews_the_lease(bench: Bench) -> None:
    ref = bench.start(TIMED_TASK)
    key = bench.take()
    bench.container.store.claim(key, "alive.1")
    for _ in range(6):
        bench.pass_time(2)
        bench.container.store.renew([key], "alive")
        bench.sweep()
    record = bench.container.reading.execution(ref)
    assert (record.status.value, record.error) == ("Failed", "FnF.TaskTimeout")


def test_a_message_that_waits_for_a_worker_does_not_time_out(bench: Bench) -> None:
    ref = bench.start(TIMED_TASK)
    bench.returns("call", {})
    bench.pass_time(100)
    bench.sweep()
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_an_execution_times_out(bench: Bench) -> None:
    ref = bench.start(WAIT + "timeoutSeconds: 25\n", {"seconds": 3600})
    bench.work()
    bench.pass_time(26)
    bench.sweep()
    record = bench.container.reading.execution(ref)
    assert (record.status.value, record.error) == ("TimedOut", "FnF.ExecutionTimeout")
    assert bench.history(ref)[-1].type == "ExecutionTimedOut"


def test_a_retry_waits_for_its_interval(bench: Bench) -> None:
    ref = bench.start(RETRIES)
    inputs = bench.returns("call", TaskError("Busy"), TaskError("Busy"), {"done": True})
    bench.handle_next()
    for wait in (10, 20):
        key = bench.take()
        bench.pass_time(wait - 1)
        early = bench.container.store.claim(key, "w.9")
        assert isinstance(early, Early) and early.seconds == pytest.approx(1)
        bench.pass_time(1)
        bench.container.engine.handle(key)
    assert (bench.output(ref), len(inputs)) == ({"done": True}, 3)


def test_a_callback_task_needs_no_message_and_keeps_its_deadline(bench: Bench) -> None:
    ref = bench.start(CALLBACK)
    bench.returns("ask", {})
    bench.work()
    assert bench.status(ref) == "Running"
    bench.pass_time(50)
    assert (bench.sweep(), bench.queued()) == (0, [])
    bench.pass_time(51)
    bench.sweep()
    assert bench.container.reading.execution(ref).error == "FnF.TaskTimeout"


def test_the_wake_up_index_has_live_entries_and_pending_purges_only(bench: Bench) -> None:
    ref = bench.start(WAIT, {"seconds": 1})
    assert set(bench.wakes(ref)) == {"r", "!deadline"}
    bench.handle_next()
    assert set(bench.wakes(ref)) == {"r", "!deadline"}
    bench.pass_time(2)
    bench.work()
    assert bench.status(ref) == "Succeeded"
    bench.sweep()
    assert set(bench.wakes(ref)) == {"!purge"}
    bench.pass_time(31 * 86_400)
    bench.sweep()
    assert bench.wakes(ref) == {}
    assert [key for key in bench.redis.keys("*") if "flow/x" in key] == []


@pytest.mark.parametrize("in_script", [True, False])
def test_the_caller_publishes_when_the_broker_is_another_server(bench: Bench, in_script: bool) -> None:
    bench.build_container(routes=Routes(in_script=in_script))
    bench.start(PASSES)
    assert len(bench.queued()) == int(in_script)
    assert [message.metadata.step for message in bench.published] == ([] if in_script else ["A"])


def test_the_message_of_a_wait_renews_the_call_that_follows_it(bench: Bench) -> None:
    bench.start(
        WAIT.replace("type: pass", 'type: task, resourceArn: "acs:fc:::services/s/functions/f"'), {"seconds": 0}
    )
    bench.handle_next()
    key = bench.take()
    renewed: list[bool] = []

    def function(input: dict[str, Any], context: Context) -> dict[str, Any]:
        renewed.extend(bench.container.store.renew([key], "w"))
        renewed.extend(bench.container.store.renew([key], "other"))
        return {}

    bench.functions.register("f", function)
    bench.container.engine.handle(key)
    assert renewed == [True, False]
