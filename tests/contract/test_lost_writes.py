"""Redis loses its last writes while an execution starts a sub-flow or waits for a report."""

from __future__ import annotations

import pytest

from pollflow import TaskAlreadyCompleted
from pollflow.machine import ReportedSucceeded
from pollflow.store import OutboxEntry
from tests.contract.conftest import Bench
from tests.contract.sub_flows import CHILD_REF, before_script, run_until_idle, snapshot, token_of
from tests.flows import WAIT

PASS_THEN_SUB = """
version: v1
type: flow
steps:
  - {type: pass, name: First}
  - type: task
    name: Sub
    resourceArn: acs:fnf:::flow/child
    pattern: sync
    serviceParams: {Input: {seconds: $.seconds}, ExecutionName: kid}
"""
SUB_IN_BRANCH = """
version: v1
type: flow
steps:
  - type: parallel
    name: Both
    branches:
      - steps:
          - type: task
            name: Sub
            resourceArn: acs:fnf:::flow/child
            pattern: sync
            serviceParams: {Input: {seconds: $.seconds}, ExecutionName: kid}
"""
LOOK_AND_CHOOSE = """  - {type: task, name: Look, resourceArn: "acs:fc:::services/s/functions/look"}
  - type: choice
    name: Which
    choices:
      - {condition: $.a, goto: done}"""
TWO_CALLBACKS = """
version: v1
type: flow
steps:
  - {type: task, name: Look, resourceArn: "acs:fc:::services/s/functions/look"}
  - type: choice
    name: Which
    choices:
      - {condition: $.a, goto: AskA}
    default: {goto: AskB}
  - type: task
    name: AskA
    resourceArn: acs:fc:::services/s/functions/ask
    pattern: waitForCallback
    inputMappings: [{target: token, source: $context.task.token}]
    end: true
  - type: task
    name: AskB
    resourceArn: acs:fc:::services/s/functions/ask
    pattern: waitForCallback
    inputMappings: [{target: token, source: $context.task.token}]
"""


@pytest.mark.parametrize("text", [PASS_THEN_SUB, SUB_IN_BRANCH], ids=["step", "branch"])
@pytest.mark.parametrize("seconds", [0, 1000], ids=["ended", "running"])
def test_a_sub_flow_from_lost_writes_is_reused_by_its_step(bench: Bench, text: str, seconds: int) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(text, {"seconds": seconds})
    before_script(bench, "start", snapshot(bench))
    bench.handle_next()
    bench.handle_next()
    assert bench.status(CHILD_REF) == "Running"
    for _ in range(3):
        # The restored queue has the message of the first step. The sub-flow runs before it.
        message = bench.redis.rpop("celery")
        bench.sweep()
        bench.work()
        bench.redis.rpush("celery", message)
        bench.pass_time(2.1)
    assert bench.status(CHILD_REF) == ("Running" if seconds else "Succeeded")
    run_until_idle(bench)
    if seconds:
        assert "!orphan" not in bench.wakes(CHILD_REF)
        bench.pass_time(1001)
        run_until_idle(bench)
    assert (bench.status(ref), bench.status(CHILD_REF)) == ("Succeeded", "Succeeded")
    assert set(bench.wakes(CHILD_REF)) <= {"!purge", "!cleanup"}


def test_a_sub_flow_from_lost_writes_is_stopped_when_not_needed(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    text = PASS_THEN_SUB.replace("  - {type: pass, name: First}", LOOK_AND_CHOOSE) + "  - {type: succeed, name: done}\n"
    bench.returns("look", {"a": False}, {"a": True})
    bench.start(text, {"seconds": 1000})
    before_script(bench, "start", snapshot(bench))
    for _ in range(3):
        bench.handle_next()
    message = bench.redis.lpop("celery")
    bench.sweep()
    assert bench.status(CHILD_REF) == "Running"
    bench.redis.rpush("celery", message)
    bench.pass_time(2.1)
    run_until_idle(bench)
    assert bench.status(CHILD_REF) == "Stopped"


def test_a_token_from_lost_writes_does_not_match_another_step(bench: Bench) -> None:
    bench.returns("look", {"a": True}, {"a": False})
    inputs = bench.returns("ask", {})
    ref = bench.start(TWO_CALLBACKS)
    restore = snapshot(bench)
    bench.work()
    restore()
    bench.work()
    first, second = (input["token"] for input in inputs)
    with pytest.raises(TaskAlreadyCompleted):
        bench.container.engine.report(first, ReportedSucceeded({}))
    bench.container.engine.report(second, ReportedSucceeded({"v": 1}))
    bench.work()
    assert bench.output(ref)["v"] == 1


def test_a_cancellation_from_lost_writes_is_undone_by_its_step(bench: Bench) -> None:
    bench.deploy(WAIT, "child")
    ref = bench.start(PASS_THEN_SUB, {"seconds": 0})
    bench.handle_next()
    # A sweep has cancelled the sub-flow of a stopped execution, and Redis has lost the stop.
    bench.container.store.cancel_child(OutboxEntry(CHILD_REF, token_of(bench, ref)))
    run_until_idle(bench)
    assert (bench.status(ref), bench.status(CHILD_REF)) == ("Succeeded", "Succeeded")
    assert bench.container.reading.cancellations(CHILD_REF) == set()
