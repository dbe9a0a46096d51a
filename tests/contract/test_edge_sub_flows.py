"""Edges of what crosses shards: sub-flows that start, end, stop and are purged while their parent looks elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pollflow import ExecutionNotExists, TaskAlreadyCompleted
from pollflow.machine import ReportedSucceeded, Status
from pollflow.machine.callback import task_token
from pollflow.store import STALE, Claimed, ExecutionRef, OutboxEntry
from tests.contract.conftest import Bench
from tests.contract.flows import CALLBACK, TASK, WAIT
from tests.contract.test_callbacks_and_sub_flows import PARENT, ask, schedule_next

WIDE_PARENT = """
version: v1
type: flow
steps:
  - type: foreach
    name: Each
    iterationMapping: {collection: $.items, item: item}
    steps:
      - type: task
        name: Sub
        resourceArn: acs:fnf:::flow/child
        pattern: sync
        serviceParams: {Input: {seconds: 100000}}
"""
CALLBACK_PARENT = """
version: v1
type: flow
steps:
  - type: task
    name: Sub
    resourceArn: acs:fnf:::flow/child
    pattern: waitForCallback
    serviceParams: {Input: {seconds: 1000}, ExecutionName: kid}
"""
TIMED_PARENT = PARENT.replace("    catch:", "    timeoutSeconds: 10\n    catch:")
RETRYING_PARENT = TIMED_PARENT.replace(
    "    catch:", "    retry: [{{errors: [FnF.TaskTimeout], intervalSeconds: 1, maxAttempts: 3}}]\n    catch:"
)
GOING_ON = TIMED_PARENT.replace("  - {{type: pass, name: caught}}", "  - {{type: wait, name: caught, duration: 50000}}")
KID = ExecutionRef("child", "kid")


def before(bench: Bench, name: str, act: Callable[[], Any]) -> None:
    """Does something just before the next run of a script."""
    once, left = bench.container.store.scripts.run, [act]

    def run(script: str, keys: Any, args: Any) -> Any:
        if script == name and left:
            left.pop()()
        return once(script, keys, args)

    bench.container.store.scripts.run = run  # type: ignore[method-assign, assignment]


def die(*_: object, **__: object) -> None:
    raise SystemExit


def die_at_commit(bench: Bench, ref: ExecutionRef, *, committed: bool = False) -> None:
    """Lets the process die that next commits for an execution, just before or just after it has."""
    commit, left = bench.container.store.commit, [None]

    def commit_and_die(claimed: Claimed, *args: Any, **options: Any) -> Any:
        is_last = claimed.key.ref == ref and bool(left)
        result = commit(claimed, *args, **options) if committed or not is_last else None
        if is_last:
            left.clear()
            raise SystemExit
        return result

    bench.container.store.commit = commit_and_die  # type: ignore[method-assign]


def token_of(bench: Bench, ref: ExecutionRef) -> str:
    """The task token of the step that an execution is at."""
    frame = bench.container.reading.frame(ref, "r")
    assert frame is not None
    return task_token(bench.container.reading.execution(ref).info, frame.state)


def stop_before_start(bench: Bench, ref: ExecutionRef) -> None:
    """Stops an execution, and sweeps, just before its sub-flow is started."""

    def stop() -> None:
        bench.container.engine.end(ref, Status.STOPPED, "Cancelled", "by hand")
        bench.sweep()

    before(bench, "start", stop)


def claim_next(bench: Bench) -> Claimed:
    key = bench.take()
    assert key is not None
    claimed = bench.container.store.claim(key, "w.1")
    assert isinstance(claimed, Claimed)
    return claimed


def test_a_report_that_is_overtaken_by_the_return_of_its_call_counts(bench: Bench) -> None:
    bench.returns("ask", {})
    ref = bench.start(CALLBACK)
    claimed = claim_next(bench)
    before(bench, "end", lambda: bench.container.engine.advance(claimed))
    bench.container.engine.report(task_token(claimed.info, claimed.state), ReportedSucceeded({"by": "boss"}))
    assert bench.output(ref) == {"by": "boss"}


def test_the_end_of_a_sub_flow_that_is_overtaken_by_the_return_of_its_start_is_told(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 0})
    claimed = claim_next(bench)
    continued: list[Callable[[], Any]] = []
    commit = bench.container.store.commit

    def commit_later(*args: Any, **options: Any) -> Any:
        if args[0] is claimed and not continued:
            continued.append(lambda: commit(*args, **options))
            return STALE
        return commit(*args, **options)

    bench.container.store.commit = commit_later  # type: ignore[method-assign]
    bench.container.engine.advance(claimed)
    bench.work()
    assert bench.status(KID) == "Succeeded"
    before(bench, "advance", continued[0])
    schedule_next(bench)
    assert bench.status(ref) == "Succeeded"


def test_a_report_for_an_execution_that_has_ended_is_refused(bench: Bench) -> None:
    ref, token = ask(bench)
    bench.container.engine.end(ref, Status.STOPPED, "", "")
    with pytest.raises(TaskAlreadyCompleted):
        bench.container.engine.report(token, ReportedSucceeded({}))


def test_a_sub_flow_that_is_purged_at_once_has_told_its_parent(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 0})
    bench.work()
    bench.container.maintenance.purge(bench.container.reading.execution(KID))
    schedule_next(bench)
    assert bench.status(ref) == "Succeeded"
    assert bench.wakes(KID) == {}


@pytest.mark.parametrize("own", ["client", "parent"])
def test_a_step_that_takes_the_sub_flow_of_somebody_else_is_told_of_its_end(bench: Bench, own: str) -> None:
    bench.deploy(WAIT, "child")
    text = PARENT.format(pattern="sync", name="kid")
    if own == "client":
        bench.container.starter.start("child", {"seconds": 1000}, "kid")
    else:
        bench.start(text, {"seconds": 1000}, name="first")
        bench.work()
    ref = bench.start(text, {"seconds": 1000}, name="second")
    bench.work()
    assert bench.status(ref) == "Running"
    bench.container.engine.end(KID, Status.STOPPED, "Broken", "by hand")
    schedule_next(bench)
    assert bench.output(ref) == {"error": "Broken", "cause": "by hand"}


def test_stopping_a_parent_leaves_executions_of_others_alone(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    bench.container.starter.start("child", {"seconds": 1000}, "kid")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    bench.container.engine.end(ref, Status.STOPPED, "", "")
    schedule_next(bench)
    assert bench.status(KID) == "Running"


def test_all_sub_flows_of_a_wide_step_are_stopped(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    bench.build_container(max_concurrency=230)
    ref = bench.start(WIDE_PARENT, {"items": list(range(230))})
    bench.work()
    bench.container.engine.end(ref, Status.STOPPED, "", "")
    for _ in range(10):
        bench.pass_time(2)
        schedule_next(bench)
    assert bench.redis.scard(bench.container.store.keys.frames(ref)) == 0
    assert bench.container.reading.count(flow="child", status=Status.STOPPED) == 230


@pytest.mark.parametrize("pattern", ["sync", "waitForCallback"])
def test_a_worker_that_was_paused_starts_no_sub_flow_for_a_parent_that_was_stopped(bench: Bench, pattern: str) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern=pattern, name="kid"), {"seconds": 1000})
    stop_before_start(bench, ref)
    schedule_next(bench)
    assert bench.status(ref) == "Stopped"
    assert bench.container.reading.executions(flow="child", status=None, limit=9) == []


@pytest.mark.parametrize("pattern", ["sync", "waitForCallback"])
def test_a_worker_that_was_paused_starts_no_sub_flow_for_a_step_that_timed_out(bench: Bench, pattern: str) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(GOING_ON.format(pattern=pattern, name="kid"), {"seconds": 1000})

    def pause() -> None:
        bench.pass_time(10.1)
        bench.sweep()
        bench.sweep()

    before(bench, "start", pause)
    schedule_next(bench)
    assert [event.step for event in bench.history(ref) if event.type == "StepEntered"][-1] == "caught"
    assert bench.container.reading.executions(flow="child", status=None, limit=9) == []
    kept = bench.redis.ttl(bench.container.store.keys.cancellations(KID))
    assert 0 < kept <= 86_400


@pytest.mark.parametrize("pattern", ["sync", "waitForCallback"])
def test_a_sub_flow_is_stopped_when_the_last_of_two_that_wait_gives_it_up(bench: Bench, pattern: str) -> None:
    bench.deploy(WAIT, "child")
    for name in "ab":
        bench.start(GOING_ON.format(pattern=pattern, name="kid"), {"seconds": 1000}, name=name)
        schedule_next(bench)
        bench.pass_time(5)
    bench.pass_time(0.5)
    schedule_next(bench)
    assert bench.status(KID) == "Running"
    bench.pass_time(5)
    schedule_next(bench)
    assert bench.status(KID) == "Stopped"
    bench.container.maintenance.purge(bench.container.reading.execution(KID))
    assert not bench.redis.exists(bench.container.store.keys.cancellations(KID))


def test_a_sub_flow_whose_starter_did_not_wait_goes_its_own_way_whoever_gives_it_up(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    bench.start(PARENT.format(pattern="requestResponse", name="kid"), {"seconds": 1000}, name="starter")
    schedule_next(bench)
    taker = bench.start(TIMED_PARENT.format(pattern="sync", name="kid"), {"seconds": 1000}, name="taker")
    schedule_next(bench)
    bench.pass_time(10.5)
    schedule_next(bench)
    assert bench.output(taker)["error"] == "FnF.TaskTimeout"
    assert bench.status(KID) == "Running"


def test_who_gave_up_what_runs_is_remembered_as_long_as_that_is_there(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    outbox_entry = OutboxEntry(KID, "a step's token")
    bench.container.store.cancel_child(outbox_entry)
    key = bench.container.store.keys.cancellations(KID)
    assert 0 < bench.redis.ttl(key) <= 86_400
    bench.container.starter.start("child", {"seconds": 1000}, "kid")
    assert bench.redis.ttl(key) == -1
    bench.container.store.cancel_child(outbox_entry)
    assert bench.redis.ttl(key) == -1


@pytest.mark.parametrize("name", ["bad\\nname", "bad name", "kid/other"])
def test_a_name_that_is_none_leaves_no_errand_behind(bench: Bench, name: str) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(GOING_ON.format(pattern="sync", name=f'"{name}"'), {"seconds": 1000})
    schedule_next(bench)
    assert bench.status(ref) == "Running"
    assert bench.container.reading.execution(ref).outbox == ()
    assert set(bench.wakes(ref)) == {"r"}


def test_a_stop_that_a_purge_overtakes_says_that_there_is_no_such_execution(bench: Bench) -> None:
    ref = bench.start(TASK)
    bench.redis.flushall()
    with pytest.raises(ExecutionNotExists):
        bench.container.engine.end(ref, Status.STOPPED, "", "")


def test_a_sub_flow_of_a_step_that_redis_has_forgotten_is_stopped(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    before(bench, "start", lambda: bench.redis.delete(bench.container.store.keys.execution(ref)))
    bench.work()
    assert bench.status(KID) == "Running"
    bench.sweep()
    assert bench.status(KID) == "Stopped"
    assert set(bench.wakes(KID)) <= {"!tidy", "!purge", "!notify"}


def test_a_sub_flow_that_is_waited_for_is_looked_at_once(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    bench.work()
    assert "!orphan" in bench.wakes(KID)
    bench.sweep()
    assert "!orphan" not in bench.wakes(KID)
    assert bench.status(KID) == "Running"


def test_the_end_of_a_sub_flow_is_told_at_once(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 0})
    bench.work()
    assert (bench.status(KID), bench.status(ref)) == ("Succeeded", "Succeeded")
    assert "!notify" not in bench.wakes(KID)


def test_a_duty_that_is_done_is_not_taken_from_another_execution_of_that_name(bench: Bench) -> None:
    ref = bench.start(WAIT + "timeoutSeconds: 25\n", {"seconds": 3600})
    bench.container.store.done(ref, "deadline", "the id of the one before")
    bench.container.store.done(ref, "deadline", "")
    assert "!deadline" in bench.wakes(ref)
    bench.container.store.done(ref, "deadline", bench.container.reading.execution(ref).id)
    assert "!deadline" not in bench.wakes(ref)


def test_an_execution_whose_definition_is_lost_can_be_stopped_and_purged(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    bench.work()
    record = bench.container.reading.execution(ref)
    bench.redis.delete(bench.container.store.keys.definition(record.digest))
    container = bench.build_container()
    container.engine.end(ref, Status.STOPPED, "", "")
    container.maintenance.purge(container.reading.execution(ref))
    assert not bench.redis.exists(container.store.keys.execution(ref))


def test_a_start_made_again_finds_the_sub_flow_that_it_started_though_that_has_ended(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="requestResponse", name="kid"), {"seconds": 0})
    die_at_commit(bench, ref)
    with pytest.raises(SystemExit):
        bench.work()
    schedule_next(bench)
    assert bench.status(KID) == "Succeeded"
    bench.pass_time(4)
    schedule_next(bench)
    assert bench.output(ref) == {"FlowName": "child", "Name": "kid", "Status": "Succeeded"}


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize("more", ["", "  - {type: wait, name: Long, duration: 5000}\n"], ids=["last", "middle"])
def test_a_sub_flow_runs_on_after_its_callback_was_reported(bench: Bench, more: str, is_early: bool) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(CALLBACK_PARENT + more)
    token = token_of(bench, ref)

    def report() -> None:
        bench.container.engine.report(token, ReportedSucceeded({}))

    if is_early:
        before(bench, "advance", report)
        schedule_next(bench)
    else:
        schedule_next(bench)
        report()
    schedule_next(bench)
    assert (bench.status(ref), bench.status(KID)) == ("Running" if more else "Succeeded", "Running")


def test_a_sweep_that_dies_after_a_time_out_leaves_the_errand_to_stop_the_sub_flow(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(TIMED_PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    schedule_next(bench)
    bench.pass_time(11)
    die_at_commit(bench, ref, committed=True)
    with pytest.raises(SystemExit):
        bench.sweep()
    schedule_next(bench)
    assert bench.output(ref)["error"] == "FnF.TaskTimeout"
    assert bench.status(KID) == "Stopped"


@pytest.mark.parametrize("script", ["end", "outbox_done"])
def test_an_errand_whose_doer_died_is_done_by_a_later_sweep(bench: Bench, script: str) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(TIMED_PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    schedule_next(bench)
    bench.pass_time(11)
    bench.sweep()
    before(bench, script, die)
    with pytest.raises(SystemExit):
        bench.sweep()
    assert "!errand" in bench.wakes(ref)
    bench.pass_time(3)
    schedule_next(bench)
    assert bench.status(KID) == "Stopped"
    assert "!errand" not in bench.wakes(ref)
    assert bench.container.reading.execution(ref).outbox == ()


def test_a_time_out_that_comes_too_late_leaves_the_sub_flow_running(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(TIMED_PARENT.format(pattern="waitForCallback", name="kid"), {"seconds": 1000})
    schedule_next(bench)
    bench.pass_time(10.5)
    token = token_of(bench, ref)
    before(bench, "advance", lambda: bench.container.engine.report(token, ReportedSucceeded({"v": 1})))
    schedule_next(bench)
    assert (bench.status(ref), bench.status(KID)) == ("Succeeded", "Running")


def test_a_sub_flow_whose_start_was_cut_off_too_often_is_stopped(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    for _ in range(5):
        die_at_commit(bench, ref)
        with pytest.raises(SystemExit):
            schedule_next(bench)
        bench.pass_time(4)
    schedule_next(bench)
    assert bench.output(ref)["error"] == "FC.Unknown"
    assert bench.status(KID) == "Stopped"


def test_a_sub_flow_runs_on_for_another_that_waits_when_its_starter_is_stopped(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    text = PARENT.format(pattern="sync", name="kid")
    starter = bench.start(text, {"seconds": 1000}, name="starter")
    bench.work()
    other = bench.start(text, {"seconds": 1000}, name="other")
    bench.work()
    bench.container.engine.end(starter, Status.STOPPED, "", "")
    schedule_next(bench)
    assert (bench.status(other), bench.status(KID)) == ("Running", "Running")
    bench.container.engine.end(other, Status.STOPPED, "", "")
    schedule_next(bench)
    assert bench.status(KID) == "Stopped"


def test_a_sub_flow_that_another_begins_to_wait_for_while_it_is_to_be_stopped_runs_on(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    text = PARENT.format(pattern="sync", name="kid")
    starter = bench.start(text, {"seconds": 1000}, name="starter")
    schedule_next(bench)
    bench.container.engine.end(starter, Status.STOPPED, "", "")

    def join() -> None:
        bench.start(text, {"seconds": 1000}, name="other")
        bench.work()

    before(bench, "end", join)
    schedule_next(bench)
    assert bench.status(ExecutionRef("flow", "other")) == "Running"
    assert bench.status(KID) == "Running"


def test_a_sub_flow_started_after_the_time_out_runs_on_for_the_next_attempt_that_took_it(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(RETRYING_PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})

    def pause() -> None:
        bench.pass_time(10.1)
        bench.sweep()

    before(bench, "start", pause)
    bench.container.engine.advance(claim_next(bench))
    bench.pass_time(1.1)
    bench.work()
    schedule_next(bench)
    assert "!orphan" not in bench.wakes(KID)
    assert (bench.status(ref), bench.status(KID)) == ("Running", "Running")


def test_a_waiter_whose_definition_is_lost_keeps_nobody_else_from_hearing_of_an_end(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    text = PARENT.format(pattern="sync", name="kid")
    crashes = bench.start(text + "# another definition\n", {"seconds": 1000}, name="lost")
    bench.work()
    other = bench.start(text, {"seconds": 1000}, name="other")
    bench.work()
    digest = bench.container.reading.execution(crashes).digest
    bench.redis.delete(bench.container.store.keys.definition(digest))
    bench.build_container()
    bench.container.engine.end(KID, Status.STOPPED, "Broken", "by hand")
    schedule_next(bench)
    assert bench.output(other) == {"error": "Broken", "cause": "by hand"}
    assert "!notify" not in bench.wakes(KID)
