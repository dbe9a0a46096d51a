"""Claims and commits: each entry is claimed and committed exactly once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from pollflow.machine import Limits, Returned, Status, decide
from pollflow.store import LEASED, STALE, Claimed, Committed, Conflict, Early
from pollflow.store.commands import Script
from tests.contract.conftest import Bench
from tests.flows import EACH, PASSES, TASK, WAIT


def commit(bench: Bench, claimed: Claimed, value: object) -> object:
    flow = bench.container.engine.flows.get(claimed.digest)
    decision = decide(flow, claimed.state, Returned(value), info=claimed.info, limits=Limits())
    return bench.container.store.commit(claimed, decision)


def test_a_claim_leases_counts_and_records_a_call(bench: Bench) -> None:
    ref = bench.start(TASK)
    claimed = bench.claim()
    assert (claimed.kind, claimed.starts) == ("call", 1)
    last = bench.history(ref)[-1]
    assert (last.type, last.detail, last.cause) == ("TaskStarted", {"attempt": 1, "start": 1}, last.id - 1)


def test_a_leased_call_cannot_be_claimed(bench: Bench) -> None:
    bench.start(TASK)
    key = bench.take()
    bench.claim(key)
    assert bench.container.store.claim(key, "w.2") is LEASED


def test_a_claim_repeated_after_a_lost_reply_counts_once(bench: Bench) -> None:
    bench.start(TASK)
    key = bench.take()
    assert bench.claim(key).starts == bench.claim(key).starts == 1


def test_an_expired_call_is_claimed_again_and_fences_the_old_worker(bench: Bench) -> None:
    ref = bench.start(TASK)
    key = bench.take()
    old = bench.claim(key, "w.1")
    bench.pass_time(4)
    new = bench.claim(key, "v.1")
    assert new.starts == 2
    assert commit(bench, old, {"from": "old"}) is STALE
    assert isinstance(commit(bench, new, {"from": "new"}), Committed)
    assert bench.output(ref) == {"from": "new"}


def test_an_expired_call_that_was_not_claimed_again_may_still_commit(bench: Bench) -> None:
    ref = bench.start(TASK)
    old = bench.claim()
    bench.pass_time(1000)
    assert isinstance(commit(bench, old, {}), Committed)
    assert bench.status(ref) == "Succeeded"


def test_scripts_repeated_after_a_lost_reply_change_nothing_more(bench: Bench) -> None:
    run_script = bench.container.store.scripts.run

    def twice(script: Script[Any], keys: Any) -> Any:
        run_script(script, keys)
        return run_script(script, keys)

    bench.container.store.scripts.run = twice  # type: ignore[method-assign]
    bench.returns("call", {"v": 1})
    each = EACH.replace(
        "steps:\n  - type: foreach", "steps:\n  - {type: wait, name: W, duration: 0}\n  - type: foreach"
    )
    ref = bench.start(each, {"items": [1, 2]})
    bench.work()
    assert bench.output(ref) == {"all": [1, 1]}
    kinds = Counter(event.type for event in bench.history(ref))
    assert kinds["TaskStarted"] == kinds["TaskSucceeded"] == kinds["IterationExited"] == 2
    assert kinds["ExecutionSucceeded"] == 1
    is_new = bench.container.starter.start("flow", {"items": []}, "y").is_new
    assert is_new


def test_a_message_for_an_ended_entry_does_nothing(bench: Bench) -> None:
    ref = bench.start(PASSES)
    key = bench.take()
    bench.container.engine.handle(key)
    before = bench.history(ref)
    bench.container.engine.handle(key)
    assert bench.history(ref) == before
    assert len(bench.queued()) == 1


def test_a_message_for_a_purged_execution_does_nothing(bench: Bench) -> None:
    bench.start(PASSES)
    key = bench.take()
    bench.redis.flushall()
    assert bench.container.store.claim(key, "w.1") is STALE
    assert bench.container.store.claim(replace(key, frame="r.1.0"), "w.1") is STALE


def test_a_token_from_lost_writes_never_matches_again(bench: Bench) -> None:
    bench.start(PASSES)
    old = bench.take()
    bench.redis.flushall()
    bench.start(PASSES)
    assert bench.container.store.claim(old, "w.1") is STALE


def test_the_claim_of_an_early_message_returns_the_remaining_seconds(bench: Bench) -> None:
    bench.start(WAIT, {"seconds": 30})
    bench.handle_next()
    key = bench.take()
    reply = bench.container.store.claim(key, "w.1")
    assert isinstance(reply, Early) and reply.seconds == 30


def test_a_decision_near_the_event_limit_is_made_again_after_a_conflict(bench: Bench) -> None:
    bench.start(TASK + "  - {type: pass, name: After}\n")
    claimed = bench.claim()
    flow = bench.container.engine.flows.get(claimed.digest)
    stale_count = replace(claimed, info=replace(claimed.info, events=1))
    decision = decide(flow, claimed.state, Returned({}), info=stale_count.info, limits=Limits())
    reply = bench.container.store.commit(stale_count, decision, expect_events=True)
    assert reply == Conflict(claimed.info.events)


def test_history_has_no_gaps_and_its_timestamps_never_decrease(bench: Bench) -> None:
    ref = bench.start(PASSES)
    bench.handle_next()
    bench.pass_time(-3600)
    bench.work()
    history = bench.history(ref)
    assert [event.id for event in history] == list(range(1, len(history) + 1))
    assert [event.cause for event in history] == list(range(len(history)))
    assert [event.at for event in history] == sorted(event.at for event in history)


def test_a_commit_to_a_stopped_execution_is_refused(bench: Bench) -> None:
    ref = bench.start(TASK)
    claimed = bench.claim()
    assert bench.container.engine.end(bench.key(ref), Status.STOPPED, "Cancelled", "by hand") is None
    assert commit(bench, claimed, {}) is STALE
    assert bench.container.engine.end(bench.key(ref), Status.STOPPED, "", "") is Status.STOPPED
    last = bench.history(ref)[-1]
    assert (last.type, last.detail) == ("ExecutionStopped", {"error": "Cancelled", "cause": "by hand"})


def test_a_commit_before_a_stop_wins(bench: Bench) -> None:
    ref = bench.start(TASK)
    commit(bench, bench.claim(), {})
    assert bench.container.engine.end(bench.key(ref), Status.STOPPED, "", "") is Status.SUCCEEDED
    assert bench.status(ref) == "Succeeded"
