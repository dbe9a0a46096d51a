"""Inline steps: one message for several steps, with the guards of the first one."""

from __future__ import annotations

from collections import Counter

import pytest

from pollflow.machine import ReportedSucceeded
from pollflow.store import ExecutionRef
from tests.contract.conftest import Bench
from tests.contract.sub_flows import CHILD_REF, before_script, die_at_commit, run_until_idle
from tests.flows import CALLBACK, CAUGHT_TIMEOUT, EACH_PASS, WAIT

POLL = """
version: v1
type: flow
steps:
  - {type: wait, name: Pause, duration: 5}
  - {type: task, name: Ask, resourceArn: "acs:fc:::services/s/functions/ask"}
  - type: choice
    name: Look
    choices: [{condition: $.done, goto: End}]
    default: {goto: Pause}
  - {type: succeed, name: End}
"""
CATCHES = """
version: v1
type: flow
steps:
  - type: task
    name: Sub
    resourceArn: acs:fnf:::flow/child
    pattern: sync
    serviceParams: {ExecutionName: kid, Input: $}
    catch: [{errors: [FnF.ALL], goto: caught}]
  - {type: succeed, name: fine}
  - {type: pass, name: caught}
"""


def steps_of(bench: Bench, ref: ExecutionRef) -> list[str]:
    return [event.step for event in bench.history(ref) if event.type == "StepEntered"]


def option(text: str, value: str) -> str:
    return text.replace("type: flow\n", f"type: flow\ninlineSteps: {value}\n", 1)


@pytest.mark.parametrize(
    ("setting", "field", "messages"), [(False, "", 2), (True, "", 1), (True, "false", 2), (False, "true", 1)]
)
def test_a_poll_takes_one_message(bench: Bench, setting: bool, field: str, messages: int) -> None:
    bench.build_container(inline_steps=setting)
    bench.returns("ask", {"done": False})
    ref = bench.start(option(POLL, field) if field else POLL)
    bench.handle_next()
    for _ in range(3):
        bench.pass_time(5)
        for _ in range(messages):
            bench.handle_next()
    assert Counter(steps_of(bench, ref)) == {"Pause": 4, "Ask": 3, "Look": 3}


def test_a_commit_of_inline_steps_is_made_once(bench: Bench) -> None:
    bench.build_container(inline_steps=True)
    bench.returns("ask", {"done": True})
    ref = bench.start(POLL)
    bench.handle_next()
    bench.pass_time(5)
    key = bench.take()
    for _ in range(3):
        bench.container.engine.handle(key)
    assert steps_of(bench, ref) == ["Pause", "Ask", "Look", "End"]
    assert bench.status(ref) == "Succeeded"


def test_a_process_that_dies_before_the_commit_repeats_the_call_only(bench: Bench) -> None:
    bench.build_container(inline_steps=True)
    inputs = bench.returns("ask", {"done": True})
    ref = bench.start(POLL)
    bench.handle_next()
    bench.pass_time(5)
    commit, commits = bench.container.store.commit, list[str]()

    def commit_and_die(claimed: object, *args: object, **options: object) -> object:
        commits.append("")
        if len(commits) == 2:  # the first one ends the wait
            raise SystemExit
        return commit(claimed, *args, **options)  # type: ignore[arg-type]

    bench.container.store.commit = commit_and_die  # type: ignore[assignment,method-assign]
    with pytest.raises(SystemExit):
        bench.work()
    assert steps_of(bench, ref) == ["Pause", "Ask"]
    bench.pass_time(4)
    run_until_idle(bench)
    assert steps_of(bench, ref) == ["Pause", "Ask", "Look", "End"]
    assert len(inputs) == 2


def test_iterations_end_inline(bench: Bench) -> None:
    bench.build_container(inline_steps=True)
    ref = bench.start(EACH_PASS, {"items": [1, 2, 3]})
    run_until_idle(bench)
    assert bench.status(ref) == "Succeeded"
    assert Counter(event.type for event in bench.history(ref))["IterationExited"] == 3


def test_a_report_runs_no_steps_in_the_process_of_the_client(bench: Bench) -> None:
    bench.build_container(inline_steps=True)
    inputs = bench.returns("ask", {})
    ref = bench.start(CALLBACK + "  - {type: pass, name: Second}\n  - {type: pass, name: Last}\n")
    bench.work()
    bench.container.engine.report(inputs[0]["token"], ReportedSucceeded({"v": 1}))
    assert steps_of(bench, ref) == ["Ask", "Second"]
    bench.handle_next()
    assert (steps_of(bench, ref), bench.status(ref)) == (["Ask", "Second", "Last"], "Succeeded")


def test_a_result_after_the_deadline_commits_no_inline_step(bench: Bench) -> None:
    bench.build_container(inline_steps=True)
    ref = bench.start(CAUGHT_TIMEOUT)
    bench.functions.register("call", lambda input, context: bench.pass_time(11) or {"v": 1})
    run_until_idle(bench)
    assert steps_of(bench, ref) == ["Call", "late"]


def test_a_sub_flow_of_a_caught_error_is_stopped_though_the_execution_could_end_at_once(bench: Bench) -> None:
    bench.build_container(inline_steps=True)
    bench.deploy(WAIT, "child")
    ref = bench.start(CATCHES, {"seconds": 1000})
    for _ in range(5):
        die_at_commit(bench, ref)
        with pytest.raises(SystemExit):
            run_until_idle(bench)
        bench.pass_time(4)
    run_until_idle(bench)
    assert (bench.status(ref), bench.status(CHILD_REF)) == ("Succeeded", "Stopped")


def test_a_flow_that_reads_event_ids_reads_the_right_ones(bench: Bench) -> None:
    bench.build_container(inline_steps=True)
    second = "{type: pass, name: Second, outputMappings: [{target: id, source: $context.step.eventId}]}"
    ref = bench.start(f"{EACH_PASS}      - {second}\n", {"items": [1, 2, 3]})
    bench.handle_next()
    for script in ("advance", "fan_in"):  # another iteration adds its events between a decision and its commit
        before_script(bench, script, bench.handle_next)
    run_until_idle(bench)
    events = [event for event in bench.history(ref) if event.step == "Second"]
    entered = [event.id for event in events if event.type == "StepEntered"]
    assert sorted(event.detail["output"]["id"] for event in events if event.type == "StepSucceeded") == entered
