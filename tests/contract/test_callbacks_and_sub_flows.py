"""Callbacks, and sub-flows of each pattern."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pollflow import Context, InvalidTaskToken, TaskAlreadyCompleted, TaskError
from pollflow.fdl.expr import MISSING
from pollflow.machine import ReportedFailed, ReportedSucceeded, Status, call_of
from tests.contract.conftest import Bench
from tests.contract.sub_flows import CHILD_REF, ask, run_until_idle
from tests.flows import CALLBACK, PARENT, TASK, WAIT

UNNAMED = PARENT.replace(", ExecutionName: {name}", "")


def test_a_report_succeeds_the_task_with_its_output(bench: Bench) -> None:
    ref, token = ask(bench)
    bench.container.engine.report(token, ReportedSucceeded({"by": "boss"}))
    bench.work()
    assert bench.output(ref) == {"by": "boss"}


def test_a_failure_report_fails_the_task(bench: Bench) -> None:
    ref, token = ask(bench)
    bench.container.engine.report(token, ReportedFailed("Refused", "no"))
    record = bench.container.reading.execution(ref)
    assert (record.status, record.error, record.cause) == (Status.FAILED, "Refused", "no")


def test_a_second_report_is_refused_and_changes_nothing(bench: Bench) -> None:
    ref, token = ask(bench)
    bench.container.engine.report(token, ReportedSucceeded({"n": 1}))
    with pytest.raises(TaskAlreadyCompleted):
        bench.container.engine.report(token, ReportedSucceeded({"n": 2}))
    bench.work()
    assert bench.output(ref) == {"n": 1}


def test_a_report_after_the_timeout_is_refused(bench: Bench) -> None:
    _, token = ask(bench)
    bench.pass_time(101)
    bench.sweep()
    with pytest.raises(TaskAlreadyCompleted):
        bench.container.engine.report(token, ReportedSucceeded({}))


@pytest.mark.parametrize("forge", ["text", "signature", "entry", "execution"])
def test_a_forged_token_is_refused(bench: Bench, forge: str) -> None:
    _, token = ask(bench)
    fields = base64.urlsafe_b64decode(token).decode().split("#")
    if forge == "text":
        forged = "no token at all"
    else:
        index = {"signature": -1, "entry": 4, "execution": 2}[forge]
        fields[index] = {"signature": "0" * 32, "entry": "7", "execution": "other"}[forge]
        forged = base64.urlsafe_b64encode("#".join(fields).encode()).decode()
    with pytest.raises(InvalidTaskToken):
        bench.container.engine.report(forged, ReportedSucceeded({}))


def test_a_report_may_come_before_the_call_has_returned(bench: Bench) -> None:
    def function(input: dict[str, Any], context: Context) -> dict[str, Any]:
        bench.container.engine.report(input["token"], ReportedSucceeded({"quick": True}))
        return {}

    bench.functions.register("ask", function)
    ref = bench.start(CALLBACK)
    bench.work()
    assert bench.output(ref) == {"quick": True}


def test_a_failure_of_the_call_fails_the_callback_task(bench: Bench) -> None:
    bench.returns("ask", TaskError("Unsent"))
    ref = bench.start(CALLBACK)
    bench.work()
    assert bench.container.reading.execution(ref).error == "Unsent"


def test_a_synchronous_sub_flow_returns_its_output(bench: Bench) -> None:
    bench.deploy(WAIT.replace("type: pass", "type: pass, outputMappings: [{target: n, source: $input.n}]"), "child")
    ref = bench.start(UNNAMED.format(pattern="sync"), {"seconds": 0})
    run_until_idle(bench)
    assert (bench.status(ref), bench.output(ref)) == ("Succeeded", {"n": 1})
    (child,) = bench.container.reading.executions(flow="child", status=None, limit=10)
    assert (child.input, child.status) == ({"seconds": 0, "n": 1}, Status.SUCCEEDED)


def test_a_request_response_sub_flow_runs_independently(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="requestResponse", name="kid"), {"seconds": 1000})
    bench.work()
    assert bench.output(ref) == {"FlowName": "child", "Name": "kid", "Status": "Running"}


def test_a_failure_of_a_sub_flow_is_the_steps_failure(bench: Bench) -> None:
    bench.returns("call", TaskError("Broken", "badly"))
    bench.deploy(TASK, "child")
    ref = bench.start(UNNAMED.format(pattern="sync"), {"seconds": 0})
    run_until_idle(bench)
    assert bench.output(ref) == {"error": "Broken", "cause": "badly"}


def test_a_timeout_of_a_sub_flow_is_the_steps_failure(bench: Bench) -> None:
    bench.deploy(WAIT + "timeoutSeconds: 10\n", "child")
    ref = bench.start(UNNAMED.format(pattern="sync"), {"seconds": 1000})
    bench.work()
    bench.pass_time(11)
    run_until_idle(bench)
    assert bench.output(ref)["error"] == "FnF.ExecutionTimeout"


def test_stopping_the_parent_stops_the_sub_flows_it_waits_for(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 1000})
    bench.work()
    assert bench.status(CHILD_REF) == "Running"
    bench.container.engine.end(bench.key(ref), Status.STOPPED, "Cancelled", "by hand")
    run_until_idle(bench)
    child = bench.container.reading.execution(CHILD_REF)
    assert (child.status, child.error, child.cause) == (Status.STOPPED, "Cancelled", "by hand")


def test_a_sub_flow_under_the_name_of_an_ended_one_fails(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    bench.container.starter.start("child", {"seconds": 0}, "kid")
    run_until_idle(bench)
    ref = bench.start(PARENT.format(pattern="sync", name="kid"), {"seconds": 0})
    run_until_idle(bench)
    assert bench.output(ref)["error"] == "fnf.ExecutionAlreadyExists"


def test_a_worker_that_dies_after_a_start_causes_no_second_sub_flow(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(UNNAMED.format(pattern="sync"), {"seconds": 0})
    claimed = bench.claim(nonce="dead.1")
    flow = bench.container.engine.flows.get(claimed.digest)
    request = call_of(flow, claimed.state, claimed.info)
    assert request is not None
    bench.container.engine.caller.call(claimed, request)
    run_until_idle(bench)
    bench.pass_time(4)
    run_until_idle(bench)
    assert bench.status(ref) == "Succeeded"
    assert len(bench.container.reading.executions(flow="child", status=None, limit=10)) == 1


def test_a_sub_flow_that_is_not_deployed_fails_the_step(bench: Bench) -> None:
    ref = bench.start(UNNAMED.format(pattern="sync"), {"seconds": 0})
    run_until_idle(bench)
    assert bench.output(ref)["error"] == "fnf.FlowNotExists"


def test_the_success_of_a_sub_flow_does_not_complete_a_callback(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(UNNAMED.format(pattern="waitForCallback"), {"seconds": 0})
    run_until_idle(bench)
    (child,) = bench.container.reading.executions(flow="child", status=None, limit=10)
    assert (child.status.value, bench.status(ref)) == ("Succeeded", "Running")


def test_a_step_that_times_out_stops_its_sub_flow(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PARENT.format(pattern="sync\n    timeoutSeconds: 10", name="kid"), {"seconds": 1000})
    run_until_idle(bench)
    bench.pass_time(11)
    run_until_idle(bench)
    assert bench.output(ref)["error"] == "FnF.TaskTimeout"
    child = bench.container.reading.execution(CHILD_REF)
    assert (child.status, child.error) == (Status.STOPPED, "FnF.TaskTimeout")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", "fnf.InvalidArgument"),
        (" ", "fnf.InvalidArgument"),
        ("order 5", "fnf.InvalidArgument"),
        ("\ud800", "fnf.InvalidArgument"),
        (None, "FnF.RuntimeError"),
        (5, "FnF.RuntimeError"),
        (MISSING, "FnF.RuntimeError"),
    ],
)
def test_an_invalid_name_of_a_sub_flow_starts_nothing(bench: Bench, name: object, error: str) -> None:
    bench.deploy(WAIT, "child")
    order = {} if name is MISSING else {"order": name}
    ref = bench.start(PARENT.format(pattern="sync", name="$.order"), {"seconds": 0, **order})
    run_until_idle(bench)
    output = bench.output(ref)
    assert (output["error"], "serviceParams" in output["cause"], "ExecutionName" in output["cause"]) == (
        error,
        True,
        True,
    )
    assert bench.container.reading.executions(flow="child", status=None, limit=10) == []
