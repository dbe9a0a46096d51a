"""Queues that step messages share with other tasks, or that cannot be read: what the sweep publishes again."""

from __future__ import annotations

import json

import pytest

from pollflow.runtime.routes import DEFAULT_QUEUE, Routes
from tests.contract.conftest import EPOCH, Bench
from tests.flows import PASSES

HOUR = 3600
OTHER = json.dumps({"body": "BODY", "headers": {"task": "own.task", "id": "1"}})


def push_other(bench: Bench, count: int, characters: int = 100) -> None:
    """Put messages of other tasks into the queue."""
    text = OTHER.replace("BODY", "x" * characters)
    for start in range(0, count, 1000):
        bench.redis.lpush(DEFAULT_QUEUE, *[text] * min(1000, count - start))


def sweep_for(bench: Bench, seconds: int) -> None:
    """Sweep once a second."""
    for _ in range(seconds):
        bench.pass_time(1)
        bench.sweep()


def lost_and_queued(bench: Bench, names: list[str]) -> tuple[list[str], list[str]]:
    """Return the executions whose message is published more than once, and those whose message is published once."""
    ids = [json.loads(text)["headers"].get("argsrepr", "") for text in bench.redis.lrange(DEFAULT_QUEUE, 0, -1)]
    counts = {name: sum(f"'{name}'" in shown for shown in ids) for name in names}
    return [name for name in names if counts[name] > 1], [name for name in names if counts[name] == 1]


@pytest.mark.parametrize(("count", "characters"), [(11, 100), (1_500, 100), (60, 10_000), (60, 100_000), (5_000, 10)])
def test_messages_behind_those_of_other_tasks_are_not_lost(bench: Bench, count: int, characters: int) -> None:
    bench.deploy(PASSES)
    push_other(bench, count, characters)
    names = [f"n{number}" for number in range(5)]
    for name in names:
        bench.container.starter.start("flow", {}, name)
    sweep_for(bench, 60)
    assert lost_and_queued(bench, names) == ([], names)


def test_a_message_between_more_than_is_read_is_published_again_ever_more_rarely(bench: Bench) -> None:
    push_other(bench, 5_000)
    ref = bench.start(PASSES)
    push_other(bench, 5_000)
    sweep_for(bench, 60)
    copies = bench.redis.llen(DEFAULT_QUEUE) - 10_000
    # After 2, 4, 8, 16 and 32 s.
    assert 1 <= copies <= 5
    bench.redis.lrem(DEFAULT_QUEUE, 0, OTHER.replace("BODY", "x" * 100))
    bench.work()
    assert bench.status(ref) == "Succeeded"
    assert [event.type for event in bench.history(ref)].count("ExecutionSucceeded") == 1


def test_a_lost_message_is_published_again_while_others_are_queued(bench: Bench) -> None:
    ref = bench.start(PASSES)
    bench.take()
    push_other(bench, 1_500)
    sweep_for(bench, 4)
    assert bench.redis.llen(DEFAULT_QUEUE) == 1_501
    bench.redis.ltrim(DEFAULT_QUEUE, 0, 0)
    bench.work()
    assert bench.status(ref) == "Succeeded"


def test_with_a_broker_that_cannot_be_read_the_redeliveries_of_an_hour_are_few(bench: Bench) -> None:
    bench.build_container(routes=Routes(in_script=False), max_redelivery_timeout=600.0)
    ref = bench.start(PASSES)
    times = []
    while (wake := bench.wakes(ref)["r"]) < EPOCH + HOUR:
        bench.clock.frozen_at = wake
        before = len(bench.published)
        bench.sweep()
        times += [round(bench.now() - EPOCH)] * (len(bench.published) - before)
    pauses = [later - earlier for earlier, later in zip([0, *times], times, strict=False)]
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600, 600]
    # The broker delivers all copies. Only the first one does anything.
    handled = 0
    while handled < len(bench.published):
        bench.container.engine.handle(bench.published[handled].key)
        handled += 1
    assert bench.status(ref) == "Succeeded"
    steps = [event.step for event in bench.history(ref) if event.type == "StepEntered"]
    assert steps == list(dict.fromkeys(steps))
