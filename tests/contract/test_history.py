"""History compaction: all events are kept, in less memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from pollflow import StoreUnavailable
from pollflow.store import commands
from pollflow.store.compaction import BLOCK
from pollflow.store.history_page import read_page
from tests.contract.conftest import Bench

LOOP = """
version: v1
type: flow
steps:
  - {type: task, name: Count, resourceArn: "acs:fc:::services/s/functions/count"}
  - type: choice
    name: More
    choices: [{condition: $.n < 300, goto: Count}]
"""

POLLING = """
version: v1
type: flow
steps:
  - {type: wait, name: Wait, duration: 0}
  - {type: task, name: Status, resourceArn: "acs:fc:::services/s/functions/status"}
  - type: choice
    name: Check
    choices: [{condition: $.job_status == "running", goto: Wait}]
"""


TWO_STEPS = "version: v1\ntype: flow\nsteps: [{type: pass, name: A}, {type: pass, name: B}]"


def test_compaction_keeps_every_event(bench: Bench) -> None:
    events: list[Any] = []

    def count(input: dict[str, Any], context: object) -> dict[str, Any]:
        return {"n": input.get("n", 0) + 1, "long": "x" * 500}

    bench.functions.register("count", count)
    ref = bench.start(LOOP)
    store, reading = bench.container.store, bench.container.reading
    while (key := bench.take_or_none()) is not None:
        bench.container.engine.handle(key)
        events += reading.history(bench.key(ref), after=len(events))
    assert len(events) > 3 * BLOCK
    assert bench.redis.llen(store.keys.blocks(ref)) == len(events) // BLOCK - 1
    assert bench.redis.llen(store.keys.history(ref)) < 2 * BLOCK
    assert [event.id for event in events] == list(range(1, len(events) + 1))
    assert list(reading.whole_history(bench.key(ref))) == events
    count = len(events)
    for after, limit in [(0, 1), (BLOCK - 1, 2), (BLOCK, 5), (2 * BLOCK - 3, 7), (count - 2, 10), (count, 3)]:
        assert reading.history(bench.key(ref), after, limit) == events[after : after + limit]


def test_a_short_history_is_read_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = []

    def counted(*arguments: Any) -> Any:
        pages.append(read_page(*arguments))
        return pages[-1]

    monkeypatch.setattr("pollflow.store.reading.read_page", counted)
    ref = bench.start(TWO_STEPS)
    assert len(list(bench.container.reading.whole_history(bench.key(ref)))) == len(pages[0].events)
    assert len(pages) == 1


def test_a_day_of_polling_needs_less_than_two_megabytes(store_url: str) -> None:
    loops = 288
    with Redis.from_url(store_url, decode_responses=True) as client:
        bench = Bench(client)
        bench.functions.register(
            "status",
            lambda input, context: {
                "tries": input.get("tries", 0) + 1,
                "job_status": "running" if input.get("tries", 0) + 1 < loops else "success",
            },
        )
        ref = bench.start(POLLING, {"job_id": "job-4711", "bucket": "films"})
        bench.work()
        assert bench.status(ref) == "Succeeded"
        assert bench.container.reading.execution(ref).events > 15 * loops
        keys = bench.container.store.keys
        compacted = BLOCK * client.llen(keys.blocks(ref))
        kept = {key: client.memory_usage(key, samples=0) for key in client.scan_iter(f"*{ref}*")}
    # Blocks grow with the history; the events that are not compacted fill two blocks at most.
    blocks = kept.pop(keys.blocks(ref))
    assert 130_000 * blocks / compacted + sum(kept.values()) < 2_000_000


def test_events_share_no_values(bench: Bench) -> None:
    """The events of one step have the same long input, which is stored once."""
    ref = bench.start(TWO_STEPS, {"long": ["x" * 500]})
    bench.work()
    events = bench.history(ref)
    for event in events:
        for value in event.detail.values():
            if isinstance(value, dict) and "long" in value:
                assert value["long"] == ["x" * 500]
                value["long"].append("changed")
    assert len([event for event in events if "changed" in str(event.detail)]) > 3


def test_concurrent_compactions_compact_once(bench: Bench) -> None:
    bench.functions.register("count", lambda input, context: {"n": input.get("n", 0) + 1})
    ref = bench.start(LOOP)
    bench.work()
    store = bench.container.store
    before = bench.history(ref)
    keys = {
        "execution": store.keys.execution(ref),
        "history": store.keys.history(ref),
        "blocks": store.keys.blocks(ref),
    }
    late = commands.Compact(execution=bench.key(ref), compacted=0, count=BLOCK, block="late")
    assert isinstance(store.scripts.run(late, keys), commands.Stale)
    assert store.compact(bench.key(ref)) == 0
    assert bench.history(ref) == before


class CompactsFirst:
    """A connection that lets another process compact the history after this one has read how much is compacted."""

    def __init__(self, bench: Bench, compact: Callable[[], object]) -> None:
        self._client, self._compact = bench.redis, compact

    def __getattr__(self, name: str) -> Any:
        if name == "pipeline":
            self._compact()
        return getattr(self._client, name)


def test_a_page_that_is_read_during_a_compaction_has_no_gap(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.functions.register("count", lambda input, context: {"n": input.get("n", 0) + 1})
    store, reading = bench.container.store, bench.container.reading
    with monkeypatch.context() as patch:
        patch.setattr("pollflow.runtime.engine.is_time_to_compact", lambda before, after: False)
        ref = bench.start(LOOP)
        bench.work()
    before = bench.history(ref)
    key, made = bench.key(ref), []
    racing = replace(reading, client=CompactsFirst(bench, lambda: made.append(store.compact(key))))
    assert racing.history(key, 0, len(before)) == before
    assert made[0] > 0


def test_a_failed_compaction_drops_no_call(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    compactions = []

    def fail(*_: object) -> None:
        compactions.append(1)
        raise StoreUnavailable("full")

    monkeypatch.setattr("pollflow.store.compaction.BLOCK", 1)
    bench.container.store.compact = fail  # type: ignore[method-assign, assignment]
    calls = bench.returns("status", {"job_status": "success"})
    ref = bench.start(POLLING, {})
    bench.work()
    assert compactions
    assert (len(calls), bench.status(ref)) == (1, "Succeeded")
