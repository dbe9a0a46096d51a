"""The steps that wait for one named sub-flow: their number is bounded, and they are notified in slices."""

from __future__ import annotations

from typing import Any

import pytest

from pollflow.machine import Status
from pollflow.runtime import notifying
from pollflow.store import starts
from tests.contract.conftest import Bench
from tests.contract.sub_flows import CHILD_REF, run_until_idle
from tests.flows import PARENT, WAIT

TEXT = PARENT.format(pattern="sync", name="kid")


def start_parents(bench: Bench, count: int) -> list[Any]:
    bench.deploy(WAIT, "child")
    refs = [bench.start(TEXT, {"seconds": 1000}, name=f"p{number}") for number in range(count)]
    bench.work()
    return refs


def test_a_step_beyond_the_limit_of_parents_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "MAX_PARENTS", 3)
    refs = start_parents(bench, 5)
    assert [bench.status(ref) for ref in refs] == ["Running"] * 3 + ["Succeeded"] * 2
    assert bench.output(refs[-1]) == {
        "error": "fnf.InvalidArgument",
        "cause": '4 steps would wait for execution "child/kid", more than the limit of 3',
    }
    bench.container.engine.end(bench.key(CHILD_REF), Status.STOPPED, "Cancelled", "by hand")
    run_until_idle(bench)
    assert [bench.status(ref) for ref in refs] == ["Succeeded"] * 5


def test_parents_are_notified_in_slices(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "_SLICE", 10)
    refs = start_parents(bench, 25)
    bench.container.engine.end(bench.key(CHILD_REF), Status.STOPPED, "Cancelled", "by hand")
    left = []
    for _ in range(3):
        bench.sweep()
        bench.work()
        left.append(sum(bench.status(ref) == "Running" for ref in refs))
    assert left == [15, 5, 0]
    assert "!notify" not in bench.wakes(CHILD_REF)
    assert {bench.output(ref)["error"] for ref in refs} == {"Cancelled"}


def test_parents_that_need_a_later_release_do_not_block_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifying, "_SLICE", 4)
    refs = start_parents(bench, 12)
    for ref in refs[:6]:
        bench.redis.hset(bench.container.store.keys.frame(ref, "r"), "layout", 999)
    bench.container.engine.end(bench.key(CHILD_REF), Status.STOPPED, "Cancelled", "by hand")
    for _ in range(200):
        bench.sweep()
        bench.work()
        bench.pass_time(1)
    assert [bench.status(ref) for ref in refs] == ["Running"] * 6 + ["Succeeded"] * 6
    assert "!notify" in bench.wakes(CHILD_REF)
    bench.container.maintenance.purge(bench.container.reading.execution(CHILD_REF))
    assert bench.status(CHILD_REF) == "Stopped"


def test_reading_the_parents_takes_one_round_trip(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    start_parents(bench, 20)
    reads: list[str] = []
    hgetall = bench.redis.hgetall

    def counted(key: str) -> Any:
        reads.append(key)
        return hgetall(key)

    bench.container.engine.end(bench.key(CHILD_REF), Status.STOPPED, "Cancelled", "by hand")
    monkeypatch.setattr(bench.redis, "hgetall", counted)
    notifying.notify_parents(bench.container.engine, bench.container.reading.execution(CHILD_REF))
    assert len(reads) == 2  # the sub-execution and its parents


def test_a_purge_notifies_all_parents(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "_SLICE", 10)
    refs = start_parents(bench, 25)
    bench.container.engine.end(bench.key(CHILD_REF), Status.STOPPED, "Cancelled", "by hand")
    bench.container.maintenance.purge(bench.container.reading.execution(CHILD_REF))
    bench.work()
    assert bench.wakes(CHILD_REF) == {}
    assert {bench.status(ref) for ref in refs} == {"Succeeded"}
