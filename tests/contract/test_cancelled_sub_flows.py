"""Sub-flows whose parents stop, time out or wait for them together."""

from __future__ import annotations

import pytest

from pollflow.machine import ReportedSucceeded, Status
from pollflow.store import ExecutionRef, OutboxEntry
from tests.contract.conftest import Bench
from tests.contract.sub_flows import (
    CHILD_REF,
    before_script,
    die,
    die_at_commit,
    run_until_idle,
    stop_before_start,
    token_of,
)
from tests.flows import (
    CONTINUING_PARENT,
    MAP_PARENT,
    PARENT,
    RETRYING_PARENT,
    TIMED_PARENT,
    WAIT,
)


def test_all_sub_flows_of_a_map_step_are_stopped(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    bench.build_container(max_concurrency=230)
    ref = bench.start(MAP_PARENT, {"items": list(range(230))})
    bench.work()
    bench.container.engine.end(bench.key(ref), Status.STOPPED, "", "")
    for _ in range(10):
        bench.pass_time(2)
        run_until_idle(bench)
    assert bench.redis.scard(bench.container.store.keys.frames(ref)) == 0
    assert len(bench.container.reading.refs(flow="child", status=Status.STOPPED, limit=1000)) == 230


@pytest.mark.parametrize("pattern", ["sync", "waitForCallback"])
def test_a_resumed_worker_starts_no_sub_flow_for_a_stopped_parent(bench: Bench, pattern: str) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern=pattern, name="kid"), {"seconds": 1000})
    stop_before_start(bench, ref)
    run_until_idle(bench)
    assert bench.status(ref) == "Stopped"
    assert bench.container.reading.executions(flow="child", status=None, limit=9) == []


@pytest.mark.parametrize("pattern", ["sync", "waitForCallback"])
def test_a_resumed_worker_starts_no_sub_flow_for_a_timed_out_step(bench: Bench, pattern: str) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(CONTINUING_PARENT.format(pattern=pattern, name="kid"), {"seconds": 1000})

    def pause() -> None:
        bench.pass_time(10.1)
        bench.sweep()
        bench.sweep()

    before_script(bench, "start", pause)
    run_until_idle(bench)
    assert [event.step for event in bench.history(ref) if event.type == "StepEntered"][-1] == "caught"
    assert bench.container.reading.executions(flow="child", status=None, limit=9) == []
    seconds = bench.redis.ttl(bench.container.store.keys.cancellations(CHILD_REF))
    assert 0 < seconds <= 86_400


@pytest.mark.parametrize("pattern", ["sync", "waitForCallback"])
def test_a_sub_flow_is_stopped_when_the_last_of_two_parents_cancels_it(bench: Bench, pattern: str) -> None:
    bench.deploy(WAIT, "child")
    for name in "ab":
        bench.start(CONTINUING_PARENT.format(pattern=pattern, name="kid"), {"seconds": 1000}, name=name)
        run_until_idle(bench)
        bench.pass_time(5)
    bench.pass_time(0.5)
    run_until_idle(bench)
    assert bench.status(CHILD_REF) == "Running"
    bench.pass_time(5)
    run_until_idle(bench)
    assert bench.status(CHILD_REF) == "Stopped"
    bench.container.maintenance.purge(bench.container.reading.execution(CHILD_REF))
    assert not bench.redis.exists(bench.container.store.keys.cancellations(CHILD_REF))


def test_a_detached_sub_flow_continues_when_a_parent_cancels_it(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    bench.start(PARENT.format(pattern="requestResponse", name="kid"), {"seconds": 1000}, name="starter")
    run_until_idle(bench)
    taker = bench.start(TIMED_PARENT.format(pattern="sync", name="kid"), {"seconds": 1000}, name="taker")
    run_until_idle(bench)
    bench.pass_time(10)
    run_until_idle(bench)
    assert bench.output(taker)["error"] == "FnF.TaskTimeout"
    assert bench.status(CHILD_REF) == "Running"


def test_cancellations_are_kept_as_long_as_the_sub_flow_exists(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    outbox_entry = OutboxEntry(CHILD_REF, "a step's token")
    bench.container.store.cancel_child(outbox_entry)
    key = bench.container.store.keys.cancellations(CHILD_REF)
    assert 0 < bench.redis.ttl(key) <= 86_400
    bench.container.starter.start("child", {"seconds": 1000}, "kid")
    assert bench.redis.ttl(key) == -1
    bench.container.store.cancel_child(outbox_entry)
    assert bench.redis.ttl(key) == -1


@pytest.mark.parametrize("name", ["bad\\nname", "bad name", "kid/other"])
def test_an_invalid_name_leaves_no_outbox_entry(bench: Bench, name: str) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(CONTINUING_PARENT.format(pattern="sync", name=f'"{name}"'), {"seconds": 1000})
    run_until_idle(bench)
    assert bench.status(ref) == "Running"
    assert bench.container.reading.outbox(ref) == ()
    assert set(bench.wakes(ref)) == {"r", "!deadline"}


def test_a_sweep_that_dies_after_a_timeout_leaves_the_outbox_entry(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(TIMED_PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    run_until_idle(bench)
    bench.pass_time(11)
    die_at_commit(bench, ref, committed=True)
    with pytest.raises(SystemExit):
        bench.sweep()
    run_until_idle(bench)
    assert bench.output(ref)["error"] == "FnF.TaskTimeout"
    assert bench.status(CHILD_REF) == "Stopped"


@pytest.mark.parametrize("script", ["end", "outbox_done"])
def test_an_outbox_entry_is_completed_by_a_later_sweep(bench: Bench, script: str) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(TIMED_PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    run_until_idle(bench)
    bench.pass_time(11)
    bench.sweep()
    before_script(bench, script, die)
    with pytest.raises(SystemExit):
        bench.sweep()
    assert "!outbox" in bench.wakes(ref)
    bench.pass_time(3)
    run_until_idle(bench)
    assert bench.status(CHILD_REF) == "Stopped"
    assert "!outbox" not in bench.wakes(ref)
    assert bench.container.reading.outbox(ref) == ()


def test_a_timeout_that_loses_to_a_report_leaves_the_sub_flow_running(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(TIMED_PARENT.format(pattern="waitForCallback", name="kid"), {"seconds": 1000})
    run_until_idle(bench)
    bench.pass_time(10)
    token = token_of(bench, ref)
    before_script(bench, "advance", lambda: bench.container.engine.report(token, ReportedSucceeded({"v": 1})))
    run_until_idle(bench)
    assert (bench.status(ref), bench.status(CHILD_REF)) == ("Succeeded", "Running")


def test_a_sub_flow_whose_start_crashed_too_often_is_stopped(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    for _ in range(5):
        die_at_commit(bench, ref)
        with pytest.raises(SystemExit):
            run_until_idle(bench)
        bench.pass_time(4)
    run_until_idle(bench)
    assert bench.output(ref)["error"] == "FC.Unknown"
    assert bench.status(CHILD_REF) == "Stopped"


def test_a_sub_flow_continues_for_another_parent_when_its_starter_stops(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    text = PARENT.format(pattern="sync", name="kid")
    starter = bench.start(text, {"seconds": 1000}, name="starter")
    bench.work()
    other = bench.start(text, {"seconds": 1000}, name="other")
    bench.work()
    bench.container.engine.end(bench.key(starter), Status.STOPPED, "", "")
    run_until_idle(bench)
    assert (bench.status(other), bench.status(CHILD_REF)) == ("Running", "Running")
    bench.container.engine.end(bench.key(other), Status.STOPPED, "", "")
    run_until_idle(bench)
    assert bench.status(CHILD_REF) == "Stopped"


def test_a_second_parent_during_a_stop_keeps_the_sub_flow_running(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    text = PARENT.format(pattern="sync", name="kid")
    starter = bench.start(text, {"seconds": 1000}, name="starter")
    run_until_idle(bench)
    bench.container.engine.end(bench.key(starter), Status.STOPPED, "", "")

    def join() -> None:
        bench.start(text, {"seconds": 1000}, name="other")
        bench.work()

    before_script(bench, "end", join)
    run_until_idle(bench)
    assert bench.status(ExecutionRef("flow", "other")) == "Running"
    assert bench.status(CHILD_REF) == "Running"


def test_a_sub_flow_started_after_a_timeout_serves_the_next_attempt(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(RETRYING_PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})

    def pause() -> None:
        bench.pass_time(10.1)
        bench.sweep()

    before_script(bench, "start", pause)
    bench.container.engine.advance(bench.claim())
    bench.pass_time(1.1)
    bench.work()
    run_until_idle(bench)
    assert "!orphan" not in bench.wakes(CHILD_REF)
    assert (bench.status(ref), bench.status(CHILD_REF)) == ("Running", "Running")
