"""Random flows in virtual time and on a real Redis, through the engine and its scripts: they write one history."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings

from pollflow.fdl import Flow
from pollflow.machine import Status
from pollflow.testing import RunResult, VirtualRun
from pollflow.testing.on_redis import RedisRun
from tests.properties.test_machine import LIMITS, flows, functions, inputs, stimuli
from tests.servers import RedisServer


def told(result: RunResult) -> list[tuple[float, str, str, str]]:
    events = result.history
    return sorted((e.at, e.type, e.step, json.dumps(e.detail, sort_keys=True)) for e in events)


def told_before_end(result: RunResult) -> list[tuple[float, str, str, str]]:
    return [event for event in told(result) if event[0] < result.history[-1].at]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(flow=flows(), given_input=inputs, answers=functions, done=stimuli)
def test_virtual_time_and_the_engine_write_the_same_history(
    shared_server: RedisServer, flow: Flow, given_input: Any, answers: Any, done: Any
) -> None:
    options: dict[str, Any] = {"functions": answers, "stimuli": done, "limits": LIMITS}
    on_redis = RedisRun(shared_server.url, flow, given_input, **options).run()
    virtual = VirtualRun(flow, given_input, **options).run()
    is_map_step = any(event.type in ("BranchEntered", "IterationEntered") for event in virtual.history)
    if is_map_step and virtual.status is Status.FAILED:
        # Of frames that act at the same moment, which one fails first, or goes over a limit, is nobody's to say.
        assert (told_before_end(virtual), virtual.status) == (told_before_end(on_redis), on_redis.status)
        assert virtual.history[-1].at == on_redis.history[-1].at
        return
    assert (told(virtual), virtual.status, virtual.output) == (told(on_redis), on_redis.status, on_redis.output)
