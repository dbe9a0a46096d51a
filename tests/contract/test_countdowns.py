"""The limit of messages with a countdown: waits beyond it are left to the sweep, and end in time."""

from __future__ import annotations

import json
from itertools import count, islice
from typing import Any

import pytest

from pollflow import TaskError
from pollflow.runtime import messages
from pollflow.runtime.routes import DEFAULT_QUEUE
from pollflow.store import SHARDS, ExecutionRef
from tests.contract.conftest import EPOCH, Bench
from tests.flows import PASSES, RETRIES, WAIT

EACH = """
version: v1
type: flow
steps:
  - type: foreach
    name: Each
    iterationMapping: {collection: $.items, item: item}
    steps:
      - {type: wait, name: Wait, duration: 30}
"""
LOOK_AHEAD = 3.0


def refs_of_shard_0(number: int) -> list[ExecutionRef]:
    """Return refs of one shard, which is what the number of messages is limited for."""
    refs = (ExecutionRef("flow", f"n{index}") for index in count())
    return list(islice((ref for ref in refs if ref.shard == 0), number))


def begin(bench: Bench, ref: ExecutionRef, **input: Any) -> None:
    """Start an execution of the deployed flow, and handle all messages but those with a countdown."""
    bench.container.starter.start("flow", input, ref.name)
    while due := [text for text in bench.redis.lrange(DEFAULT_QUEUE, 0, -1) if '"eta":null' in text]:
        bench.redis.lrem(DEFAULT_QUEUE, 1, due[-1])
        bench.container.engine.handle(messages.key_of(json.loads(json.loads(due[-1])["body"])[0]))


def wait_in_shard_0(bench: Bench, number: int, seconds: float) -> list[ExecutionRef]:
    """Start executions in one shard and let them enter their waits."""
    bench.deploy(WAIT)
    refs = refs_of_shard_0(number)
    for ref in refs:
        begin(bench, ref, seconds=seconds)
    return refs


def etas(bench: Bench) -> list[str | None]:
    return [message["headers"]["eta"] for message in bench.queued()]


def scores(bench: Bench, refs: list[ExecutionRef]) -> list[float]:
    return sorted(bench.wakes(ref)["r"] - EPOCH for ref in refs)


def ends(bench: Bench, refs: list[ExecutionRef]) -> set[float]:
    """Return when the step after the wait was entered, in seconds after EPOCH."""
    return {event.at - EPOCH for ref in refs for event in bench.history(ref) if event.step == "After"}


def test_waits_beyond_the_limit_stay_in_the_index_and_end_in_time(bench: Bench) -> None:
    """Four messages in a shard: two for waits beyond the look-ahead, and two for those that are nearly due."""
    bench.build_container(max_countdown_messages=4 * SHARDS)
    refs = wait_in_shard_0(bench, 6, 30)
    assert len(etas(bench)) == 2
    assert scores(bench, refs) == [30 - LOOK_AHEAD] * 4 + [32] * 2
    bench.pass_time(30 - LOOK_AHEAD)
    bench.sweep()
    assert len(etas(bench)) == 4 and None not in etas(bench)
    assert scores(bench, refs) == [30] * 2 + [32] * 4
    bench.pass_time(LOOK_AHEAD)
    bench.sweep()
    assert etas(bench).count(None) == 2 and len(etas(bench)) == 6
    bench.work()
    assert ends(bench, refs) == {30}


def test_waits_that_have_ended_make_room(bench: Bench) -> None:
    bench.build_container(max_countdown_messages=2 * SHARDS)
    wait_in_shard_0(bench, 1, 30)
    bench.pass_time(30)
    bench.work()
    refs = refs_of_shard_0(3)[1:]
    for ref in refs:
        begin(bench, ref, seconds=20)
    assert len(etas(bench)) == 1
    assert scores(bench, refs) == [20 - LOOK_AHEAD + 30, 22 + 30]


def test_long_waits_leave_room_for_short_ones(bench: Bench) -> None:
    bench.build_container(max_countdown_messages=20 * SHARDS)
    wait_in_shard_0(bench, 15, 50)
    assert len(etas(bench)) == 10
    for ref in refs_of_shard_0(25)[15:]:
        begin(bench, ref, seconds=1)
    assert len(etas(bench)) == 20


def test_many_waits_of_an_hour_do_not_count(bench: Bench) -> None:
    bench.build_container(max_countdown_messages=2 * SHARDS)
    bench.deploy(WAIT)
    refs = refs_of_shard_0(30)
    for ref in refs[:-1]:
        begin(bench, ref, seconds=3600)
    begin(bench, refs[-1], seconds=1)
    assert len(etas(bench)) == 1


def test_pauses_of_retries_count(bench: Bench) -> None:
    bench.build_container(max_countdown_messages=2 * SHARDS)
    bench.returns("call", TaskError("Busy"))
    bench.deploy(RETRIES)
    for ref in refs_of_shard_0(3):
        begin(bench, ref)
    assert len(etas(bench)) == 1


def test_children_of_a_map_step_count(bench: Bench) -> None:
    bench.build_container(max_countdown_messages=2 * SHARDS)
    bench.deploy(EACH)
    begin(bench, ExecutionRef("flow", "x"), items=[1, 2, 3, 4])
    assert len(etas(bench)) == 1


def test_an_early_message_is_published_again_though_the_limit_is_reached(bench: Bench) -> None:
    bench.build_container(max_countdown_messages=2 * SHARDS)
    (ref, *_) = wait_in_shard_0(bench, 3, 30)
    bench.handle_next()  # by a worker whose clock is ahead
    assert len(etas(bench)) == 1
    bench.pass_time(30)
    bench.work()
    assert ends(bench, [ref]) == {30}


def test_a_sweep_that_dies_leaves_the_wait_to_the_next_one(bench: Bench) -> None:
    bench.build_container(max_countdown_messages=2 * SHARDS)
    refs = wait_in_shard_0(bench, 2, 30)
    bench.pass_time(30 - LOOK_AHEAD)
    assert len(bench.container.store.due(0, 10).members) == 1  # and dies
    bench.pass_time(2)
    bench.sweep()
    assert len(etas(bench)) == 2
    bench.pass_time(1)
    bench.work()
    assert ends(bench, refs) == {30}


def test_the_index_of_countdowns_expires_with_the_last_one(bench: Bench) -> None:
    bench.build_container(max_countdown=40.0)
    wait_in_shard_0(bench, 1, 30)
    assert 0 < bench.redis.pttl(bench.container.store.keys.countdowns(0)) <= 40_000


def test_the_look_ahead_follows_the_sweep_interval(bench: Bench) -> None:
    bench.build_container(max_countdown_messages=2 * SHARDS, sweep_interval=1.5)
    refs = wait_in_shard_0(bench, 2, 30)
    assert scores(bench, refs)[0] == 30 - 4.5


def test_a_sweep_publishes_all_that_is_due_at_the_same_moment(server: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a slice of a shard, in one sweep, with a few round trips for each slice."""
    number = 450
    server.deploy(PASSES)
    for ref in refs_of_shard_0(number):
        server.container.starter.start("flow", {}, ref.name)
    server.redis.delete(DEFAULT_QUEUE)
    server.pass_time(2.1)
    trips: list[str] = []
    execute = type(server.redis.pipeline())._execute_pipeline

    def counted(*args: Any, **options: Any) -> Any:
        trips.append("pipeline")
        return execute(*args, **options)

    monkeypatch.setattr(type(server.redis.pipeline()), "_execute_pipeline", counted)
    server.sweep()
    assert len(etas(server)) == number
    assert len(trips) <= 10
