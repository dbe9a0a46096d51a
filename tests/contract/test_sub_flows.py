"""Sub-flows that start, end and are purged while other workers act on their parents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pollflow import ExecutionNotExists, TaskAlreadyCompleted
from pollflow.machine import ReportedSucceeded, Status
from pollflow.machine.callback import task_token
from pollflow.store import STALE, ExecutionKey
from tests.contract.conftest import Bench
from tests.contract.sub_flows import (
    CHILD_REF,
    ask,
    before_script,
    die_at_commit,
    run_until_idle,
    token_of,
)
from tests.flows import (
    CALLBACK,
    CALLBACK_PARENT,
    PARENT,
    TASK,
    WAIT,
)


def test_a_report_is_accepted_when_the_call_returns_first(bench: Bench) -> None:
    bench.returns("ask", {})
    ref = bench.start(CALLBACK)
    claimed = bench.claim()
    before_script(bench, "end", lambda: bench.container.engine.advance(claimed))
    bench.container.engine.report(task_token(claimed.info, claimed.state), ReportedSucceeded({"by": "boss"}))
    assert bench.output(ref) == {"by": "boss"}


def test_a_sub_flow_that_ends_before_its_start_returned_notifies_parent(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 0})
    claimed = bench.claim()
    postponed: list[Callable[[], Any]] = []
    commit = bench.container.store.commit

    def commit_later(*args: Any, **options: Any) -> Any:
        if args[0] is claimed and not postponed:
            postponed.append(lambda: commit(*args, **options))
            return STALE
        return commit(*args, **options)

    bench.container.store.commit = commit_later  # type: ignore[method-assign]
    bench.container.engine.advance(claimed)
    bench.work()
    assert bench.status(CHILD_REF) == "Succeeded"
    before_script(bench, "advance", postponed[0])
    run_until_idle(bench)
    assert bench.status(ref) == "Succeeded"


def test_a_report_for_an_execution_that_has_ended_is_refused(bench: Bench) -> None:
    ref, token = ask(bench)
    bench.container.engine.end(bench.key(ref), Status.STOPPED, "", "")
    with pytest.raises(TaskAlreadyCompleted):
        bench.container.engine.report(token, ReportedSucceeded({}))


def test_a_sub_flow_notifies_its_parent_before_it_is_purged(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 0})
    bench.work()
    bench.container.maintenance.purge(bench.container.reading.execution(CHILD_REF))
    run_until_idle(bench)
    assert bench.status(ref) == "Succeeded"
    assert bench.wakes(CHILD_REF) == {}


@pytest.mark.parametrize("own", ["client", "parent"])
def test_a_step_that_shares_a_sub_flow_is_notified_of_its_end(bench: Bench, own: str) -> None:
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
    bench.container.engine.end(bench.key(CHILD_REF), Status.STOPPED, "Broken", "by hand")
    run_until_idle(bench)
    assert bench.output(ref) == {"error": "Broken", "cause": "by hand"}


def test_stopping_a_parent_does_not_stop_executions_of_others(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    bench.container.starter.start("child", {"seconds": 1000}, "kid")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    bench.container.engine.end(bench.key(ref), Status.STOPPED, "", "")
    run_until_idle(bench)
    assert bench.status(CHILD_REF) == "Running"


def test_stopping_a_purged_execution_raises_execution_not_exists(bench: Bench) -> None:
    ref = bench.start(TASK)
    bench.redis.flushall()
    with pytest.raises(ExecutionNotExists):
        bench.container.engine.end(bench.key(ref), Status.STOPPED, "", "")


def test_a_sub_flow_of_a_lost_parent_is_stopped(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    before_script(bench, "start", lambda: bench.redis.delete(bench.container.store.keys.execution(ref)))
    bench.work()
    assert bench.status(CHILD_REF) == "Running"
    bench.sweep()
    assert bench.status(CHILD_REF) == "Stopped"
    assert set(bench.wakes(CHILD_REF)) <= {"!cleanup", "!purge", "!notify"}


def test_the_orphan_check_of_an_awaited_sub_flow_runs_once(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    bench.work()
    assert "!orphan" in bench.wakes(CHILD_REF)
    bench.sweep()
    assert "!orphan" not in bench.wakes(CHILD_REF)
    assert bench.status(CHILD_REF) == "Running"


def test_the_end_of_a_sub_flow_notifies_its_parent_at_once(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 0})
    bench.work()
    assert (bench.status(CHILD_REF), bench.status(ref)) == ("Succeeded", "Succeeded")
    assert "!notify" not in bench.wakes(CHILD_REF)


def test_a_finished_maintenance_job_is_kept_for_a_namesake(bench: Bench) -> None:
    ref = bench.start(WAIT + "timeoutSeconds: 25\n", {"seconds": 3600})
    bench.container.store.job_done(ExecutionKey(ref, "the id of an earlier execution"), "deadline")
    assert "!deadline" in bench.wakes(ref)
    bench.container.store.job_done(bench.key(ref), "deadline")
    assert "!deadline" not in bench.wakes(ref)


def test_an_execution_whose_definition_is_lost_can_be_stopped_and_purged(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    bench.work()
    record = bench.container.reading.execution(ref)
    bench.redis.delete(bench.container.store.keys.definition(record.digest))
    container = bench.build_container()
    container.engine.end(bench.key(ref), Status.STOPPED, "", "")
    container.maintenance.purge(container.reading.execution(ref))
    assert not bench.redis.exists(container.store.keys.execution(ref))


def test_a_repeated_start_finds_its_sub_flow_after_it_ended(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="requestResponse", name="kid"), {"seconds": 0})
    die_at_commit(bench, ref)
    with pytest.raises(SystemExit):
        bench.work()
    run_until_idle(bench)
    assert bench.status(CHILD_REF) == "Succeeded"
    bench.pass_time(4)
    run_until_idle(bench)
    assert bench.output(ref) == {"FlowName": "child", "Name": "kid", "Status": "Succeeded"}


@pytest.mark.parametrize("is_early", [True, False])
@pytest.mark.parametrize("more", ["", "  - {type: wait, name: Long, duration: 5000}\n"], ids=["last", "middle"])
def test_a_sub_flow_continues_after_its_callback_was_reported(bench: Bench, more: str, is_early: bool) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(CALLBACK_PARENT + more)
    token = token_of(bench, ref)

    def report() -> None:
        bench.container.engine.report(token, ReportedSucceeded({}))

    if is_early:
        before_script(bench, "advance", report)
        run_until_idle(bench)
    else:
        run_until_idle(bench)
        report()
    run_until_idle(bench)
    assert (bench.status(ref), bench.status(CHILD_REF)) == ("Running" if more else "Succeeded", "Running")


def test_a_parent_without_definition_does_not_block_other_parents(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    text = PARENT.format(pattern="sync", name="kid")
    broken = bench.start(text + "# another definition\n", {"seconds": 1000}, name="lost")
    bench.work()
    other = bench.start(text, {"seconds": 1000}, name="other")
    bench.work()
    digest = bench.container.reading.execution(broken).digest
    bench.redis.delete(bench.container.store.keys.definition(digest))
    bench.build_container()
    bench.container.engine.end(bench.key(CHILD_REF), Status.STOPPED, "Broken", "by hand")
    run_until_idle(bench)
    assert bench.output(other) == {"error": "Broken", "cause": "by hand"}
    for _ in range(40):
        bench.pass_time(1)
        run_until_idle(bench)
    assert "!notify" not in bench.wakes(CHILD_REF)
    assert bench.container.reading.execution(broken).error == "FnF.RuntimeError"
