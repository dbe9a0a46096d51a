"""Generated flows write the same history on Celery workers as in virtual time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis import Redis

from pollflow import Client
from pollflow.fdl import Flow, ForeachStep, ParallelStep
from pollflow.testing import Reply, RunResult, VirtualRun
from tests.processes import Processes
from tests.properties.test_machine import LIMITS, flows, functions, inputs
from tests.servers import RedisServer
from tests.workers import PROJECT, Workers

pytestmark = pytest.mark.process

MAX_SECONDS = 6


@dataclass
class Sample:
    flow: Flow
    input: dict[str, Any]
    answers: dict[str, Reply]
    expected: RunResult

    @property
    def has_map_step(self) -> bool:
        return any(isinstance(s, ParallelStep | ForeachStep) for x in self.flow.series.values() for s in x.steps)


def samples(count: int) -> list[Sample]:
    """Return short flows with their expected results, the same ones in each run."""
    found: list[Sample] = []

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(flows(), inputs, functions, st.none())
    def collect(flow: Flow, input: Any, answers: Any, _: None) -> None:
        # One reply per function, without a duration, since the order of calls in parallel branches is not defined.
        fixed = {name: [Reply(r[0].returns, r[0].raises)] for name, r in answers.items()}
        run = VirtualRun(flow, input, functions=fixed, limits=LIMITS).run()
        # On a busy machine a shorter timeout could expire.
        has_time = flow.timeout_seconds is None or flow.timeout_seconds > 30
        if has_time and run.status.ended and run.seconds <= MAX_SECONDS and len(run.history) > 6:
            found.append(Sample(flow, input, {name: r[0] for name, r in fixed.items()}, run))

    collect()
    return found


def texts(events: Any) -> list[str]:
    return sorted(json.dumps([event.type, event.step, comparable(event.detail)], sort_keys=True) for event in events)


def comparable(detail: dict[str, Any]) -> dict[str, Any]:
    """Leave out the traceback: it names the file of the function, which is another one in each world."""
    return {name: value for name, value in detail.items() if name != "traceback"}


def test_random_flows_write_the_history_of_virtual_time(redis_server: RedisServer, processes: Processes) -> None:
    processes.env["POLLFLOW_REDIS_URL"] = redis_server.url
    chosen = samples(400)
    assert len(chosen) > 60
    client = Client(redis_server.url)
    workers = Workers(processes, PROJECT)
    for name in ("one", "two"):
        workers.start("-c", "2", app="tests.apps.answers", name=name)
    started = []
    with Redis.from_url(redis_server.url) as redis:
        for number, sample in enumerate(chosen):
            name = f"flow-{number}"
            answers = {
                function: {
                    "returns": reply.returns,
                    "raises": [reply.raises.error, reply.raises.cause] if reply.raises else None,
                }
                for function, reply in sample.answers.items()
            }
            redis.hset("test:answers", name, json.dumps(answers))
            client.deploy_text(sample.flow.text, name)
            started.append(client.start(name, sample.input, name="x"))
    succeeded = 0
    for sample, execution in zip(chosen, started, strict=True):
        execution = execution.wait(120)
        expected = sample.expected
        assert execution.status == expected.status.value, (sample.flow.text, sample.input, execution.history())
        history = execution.history()
        assert [event.id for event in history] == list(range(1, len(history) + 1))
        # With parallel branches, the first branch to fail and the ids of events are not deterministic.
        if sample.has_map_step and execution.status == "Failed":
            continue
        assert (execution.output, execution.error or None) == (expected.output, expected.error or None)
        if not sample.has_map_step or "eventId" not in sample.flow.text:
            assert texts(history) == texts(expected.history), sample.flow.text
            succeeded += execution.status == "Succeeded"
    assert succeeded > 20
