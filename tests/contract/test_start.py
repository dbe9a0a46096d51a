"""Starts of executions, and lists of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from pollflow import EntityTooLarge, ExecutionAlreadyExists, FlowNotExists, InvalidArgument
from pollflow.fdl import read_flow
from pollflow.machine import Status
from pollflow.runtime.carried import CARRIED
from pollflow.runtime.definitions import KnownFlows
from pollflow.runtime.starting import Starter
from pollflow.store import ExecutionRef, Started
from tests.contract.conftest import Bench
from tests.flows import PASSES, TASK


def test_a_start_publishes_the_message_of_the_first_step(bench: Bench) -> None:
    bench.start(PASSES, name="x")
    (message,) = bench.queued()
    assert message["headers"]["task"] == "pollflow.pass"
    assert message["headers"]["argsrepr"] == "('flow', 'x', 'A', 'visit 1', 'attempt 1')"


def test_a_second_start_returns_the_running_execution(bench: Bench) -> None:
    ref = bench.start(PASSES, name="x")
    before = bench.container.reading.execution(ref)
    assert bench.container.starter.start("flow", {"other": 1}, "x") == Started(bench.key(ref), Status.RUNNING)
    assert bench.container.reading.execution(ref) == before
    assert len(bench.queued()) == 1


def test_a_start_under_the_name_of_an_ended_execution_is_refused(bench: Bench) -> None:
    bench.start(PASSES, name="x")
    bench.work()
    with pytest.raises(ExecutionAlreadyExists, match="Succeeded"):
        bench.container.starter.start("flow", {}, "x")


def test_an_execution_without_a_name_gets_a_unique_name(bench: Bench) -> None:
    bench.deploy(PASSES)
    first, second = (bench.container.starter.start("flow", {}, None) for _ in range(2))
    assert first.key != second.key
    assert first.is_new
    assert second.is_new


@pytest.mark.parametrize(
    ("input", "name", "error"),
    [
        ([1], "x", InvalidArgument),
        ({"a": object()}, "x", InvalidArgument),
        ({"a": "b" * 40_000}, "x", EntityTooLarge),
        ({}, "a name", InvalidArgument),
        ({}, "1x", InvalidArgument),
        ({}, "x" * 129, InvalidArgument),
    ],
)
def test_a_refused_start_stores_nothing(bench: Bench, input: object, name: str, error: type[Exception]) -> None:
    bench.deploy(PASSES)
    before = sorted(bench.redis.keys("*"))
    with pytest.raises(error):
        bench.container.starter.start("flow", input, name)  # type: ignore[arg-type]
    assert sorted(bench.redis.keys("*")) == before


def test_a_flow_that_is_not_deployed_cannot_be_started(bench: Bench) -> None:
    bench.deploy(PASSES, "known")
    with pytest.raises(FlowNotExists, match="known"):
        bench.container.starter.start("unknown", {}, "x")


TIMED = """
version: v1
type: flow
steps:
  - {type: pass, name: A, inputMappings: [{target: at, source: $context.execution.startedTime}]}
"""


@pytest.fixture
def starter(bench: Bench) -> Starter:
    """Return the starter of a client, which knows the flow `flow` from an earlier start."""
    starter = replace(bench.container.starter, known=KnownFlows())
    bench.deploy(PASSES)
    starter.start("flow", {}, "before")
    return starter


def test_a_start_by_a_known_flow_notices_a_redeploy(bench: Bench, starter: Starter) -> None:
    digests = []
    for text in (PASSES, TASK, PASSES):
        bench.deploy(text)
        ref = starter.start("flow", {}, None).key.ref
        digests.append(bench.container.reading.execution(ref).digest)
    assert digests == [read_flow(text).digest for text in (PASSES, TASK, PASSES)]


def test_an_input_that_only_the_definition_before_refuses_is_started(bench: Bench, starter: Starter) -> None:
    paths = ", ".join(["'$.a'"] * 2_000)
    bench.deploy(TASK.replace('call"}', f'call", serviceParams: {{a: [{paths}]}}}}'))
    starter.start("flow", {}, "known")
    large = {"a": "x" * 30_000}
    with pytest.raises(EntityTooLarge):
        starter.start("flow", large, "refused")
    bench.deploy(PASSES)
    assert starter.start("flow", large, "x").is_new


def test_the_message_of_a_start_at_the_time_of_its_script_carries_no_state(bench: Bench, starter: Starter) -> None:
    starter.start("flow", {}, "x")
    before, message = (message["headers"] for message in bench.queued())
    assert (CARRIED in before, CARRIED in message) == (True, False)
    bench.work()
    assert bench.status(ExecutionRef("flow", "x")) == "Succeeded"


def test_a_known_flow_that_redis_has_lost_is_not_started(bench: Bench, starter: Starter) -> None:
    bench.redis.delete(bench.container.store.keys.flow("flow"))
    before = sorted(bench.redis.keys("*"))
    with pytest.raises(FlowNotExists):
        starter.start("flow", {}, "x")
    assert sorted(bench.redis.keys("*")) == before


def test_a_start_repeated_after_a_redeploy_finds_what_it_started(bench: Bench, starter: Starter) -> None:
    new = starter._new(starter._current("flow"), "x", {}, "me")
    first = bench.container.store.start_if_current(new)
    bench.deploy(TASK)
    repeated = bench.container.store.start_if_current(new)
    assert first is not None and repeated is not None
    assert (repeated.key, repeated.is_new) == (first.key, True)


def test_a_first_step_that_reads_the_time_of_the_start_gets_the_stored_one(bench: Bench, starter: Starter) -> None:
    bench.deploy(TIMED)
    for name in ("x", "y"):
        bench.pass_time(0.5)
        ref = starter.start("flow", {}, name).key.ref
        (at,) = (event.detail["input"]["at"] for event in bench.history(ref) if event.type == "StepStarted")
        assert (at, bench.container.reading.execution(ref).started_at) == (iso(bench.now()), bench.now())


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def test_an_execution_keeps_the_definition_that_it_started_with(bench: Bench) -> None:
    ref = bench.start(PASSES)
    bench.deploy(TASK)
    bench.work()
    assert bench.status(ref) == "Succeeded"
    assert {event.step for event in bench.history(ref)} == {"", "A", "B"}


def test_executions_are_listed_by_flow_and_status_latest_first(bench: Bench) -> None:
    refs = []
    for number in range(5):
        refs.append(bench.start(PASSES, name=f"n{number}"))
        bench.pass_time(1)
    bench.work()
    running = bench.start(PASSES, name="runs")

    def found(flow: str | None, status: Status | None = None, limit: int = 10) -> list[ExecutionRef]:
        return [r.ref for r in bench.container.reading.executions(flow=flow, status=status, limit=limit)]

    assert found("flow") == [running, *reversed(refs)]
    assert found(None, Status.RUNNING) == [running]
    assert found("flow", Status.SUCCEEDED, 2) == [refs[4], refs[3]]
    assert found("other") == []
