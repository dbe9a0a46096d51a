"""Model check: every schedule of two workers and a sweep, with faults, loses and duplicates nothing.

`POLLFLOW_MODEL_FAULTS` adds faults to each schedule. `POLLFLOW_MODEL_STEPS` is the maximum of steps per scenario.
`POLLFLOW_MODEL_SEED` selects the schedules where the maximum does not allow all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pollflow.runtime.settings import Settings
from tests.flows import ASK, CAUGHT_TIMEOUT, TASK
from tests.properties.protocol.explore import Explorer
from tests.properties.protocol.rules import Rules
from tests.properties.protocol.world import World, deterministic

pytestmark = pytest.mark.slow

_MORE_FAULTS = int(os.environ.get("POLLFLOW_MODEL_FAULTS", "0"))
_SEED = int(os.environ.get("POLLFLOW_MODEL_SEED", "0"))
_MAX_STEPS = int(os.environ.get("POLLFLOW_MODEL_STEPS", "3000"))

THREE_STEPS = """
version: v1
type: flow
steps:
  - {type: task, name: Begin, resourceArn: "acs:fc:::services/s/functions/call"}
  - {type: wait, name: Wait, duration: 5}
  - {type: task, name: Finish, resourceArn: "acs:fc:::services/s/functions/call"}
"""
INLINE = """
version: v1
type: flow
steps:
  - {type: task, name: Begin, resourceArn: "acs:fc:::services/s/functions/call"}
  - {type: wait, name: Wait, duration: 5}
  - {type: task, name: Finish, resourceArn: "acs:fc:::services/s/functions/call"}
  - {type: choice, name: Look, choices: [{condition: $.v == 1, goto: Done}]}
  - {type: fail, name: Broken}
  - {type: pass, name: Done}
"""
EACH_WAITS = """
version: v1
type: flow
steps:
  - type: foreach
    name: Each
    iterationMapping: {collection: $.items, item: item}
    steps:
      - {type: wait, name: Wait, duration: 5}
      - {type: task, name: Call, resourceArn: "acs:fc:::services/s/functions/item"}
    outputMappings: [{target: all, source: "$local[*].v"}]
"""
EACH = """
version: v1
type: flow
steps:
  - type: foreach
    name: Each
    iterationMapping: {collection: $.items, item: item}
    steps:
      - {type: task, name: Call, resourceArn: "acs:fc:::services/s/functions/item"}
    outputMappings: [{target: all, source: "$local[*].v"}]
"""
INLINE_EACH = EACH.replace("    outputMappings", "      - {type: pass, name: After}\n    outputMappings")
PARENT = """
version: v1
type: flow
steps:
  - {type: task, name: Sub, resourceArn: "acs:fnf:::flow/child", pattern: sync, serviceParams: {ExecutionName: kid}}
"""
ASKING_PARENT = """
version: v1
type: flow
steps:
  - type: task
    name: Sub
    resourceArn: acs:fnf:::flow/child
    pattern: waitForCallback
    serviceParams: {ExecutionName: kid}
    timeoutSeconds: 10
    catch: [{errors: [FnF.TaskTimeout], goto: late}]
  - {type: pass, name: late, outputMappings: [{target: v, source: late}]}
"""
RETRIED = """
version: v1
type: flow
steps:
  - type: task
    name: Call
    resourceArn: acs:fc:::services/s/functions/call
    timeoutSeconds: 10
    retry: [{errors: [FnF.TaskTimeout], intervalSeconds: 1, maxAttempts: 1}]
"""


@dataclass(frozen=True)
class Scenario:
    flow: str
    outputs: tuple[Any, ...]
    calls: frozenset[str]
    counts: dict[str, int]
    input: dict[str, Any] = field(default_factory=dict)
    child: str = TASK
    settings: dict[str, Any] = field(default_factory=dict)
    faults: int = 1
    stops: int = 0
    pauses: tuple[float, ...] = (3,)
    is_complete: bool = False
    """Whether CI tries every schedule; otherwise it tries as many as the maximum allows."""


_THREE = Scenario(
    THREE_STEPS,
    ({"v": 1},),
    frozenset({"Begin/r.1", "Finish/r.3"}),
    {"TaskSucceeded": 2, "StepExited": 3, "ExecutionSucceeded": 1},
)
_EACH = Scenario(
    EACH,
    ({"all": [10, 20, 30]},),
    frozenset({"Call/r.1.0.1", "Call/r.1.1.1", "Call/r.1.2.1"}),
    {"IterationEntered": 3, "TaskSucceeded": 3, "IterationExited": 3, "StepExited": 4},
    input={"items": [1, 2, 3]},
    settings={"max_concurrency": 2},
)
# The sub-flow may end before the call returns; then there is no TaskSubmitted event.
_SUB = Scenario(PARENT, ({"v": 1},), frozenset({"Call/r.1"}), {"TaskSucceeded": 2})
_TIMED = Scenario(
    CAUGHT_TIMEOUT,
    ({"v": 1}, {"v": "late"}),
    frozenset({"Call/r.1"}),
    {"ExecutionSucceeded": 1},
    pauses=(3, 10),
    faults=2,
)
SCENARIOS: dict[str, Scenario] = {}


def add_scenario(name: str, base: Scenario, **changes: Any) -> None:
    SCENARIOS[name] = replace(base, **changes)


add_scenario("three steps, one fault at any point", _THREE, is_complete=True)
add_scenario("three steps, two faults", _THREE, faults=2)
add_scenario(
    "three steps, a wait beyond the maximum countdown", _THREE, settings={"max_countdown": 2.0}, is_complete=True
)
add_scenario("three steps, stopped", _THREE, stops=1, outputs=({"v": 1}, "Cancelled"))
add_scenario("a foreach of three, two at once", _EACH)
add_scenario(
    "a foreach of four, two at once",
    _EACH,
    input={"items": [1, 2, 3, 4]},
    outputs=({"all": [10, 20, 30, 40]},),
    calls=_EACH.calls | {"Call/r.1.3.1"},
    counts={"IterationEntered": 4, "TaskSucceeded": 4, "IterationExited": 4, "StepExited": 5},
)
add_scenario("a foreach of three, stopped", _EACH, stops=1, faults=0, outputs=(*_EACH.outputs, "Cancelled"))
add_scenario("a sub-flow", _SUB)
add_scenario("a sub-flow, stopped", _SUB, stops=1, outputs=({"v": 1}, "Cancelled"))
# No report is made: the parent times out, and the sub-flow is stopped or never started.
add_scenario(
    "a sub-flow that is cancelled",
    _SUB,
    flow=ASKING_PARENT,
    child=ASK,
    outputs=({"v": "late"},),
    calls=frozenset({"Call/r.1"}),
    counts={"ExecutionSucceeded": 1},
    pauses=(11,),
)
add_scenario("a step with a deadline", _TIMED)
add_scenario(
    "a step with a deadline, retried",
    _TIMED,
    flow=RETRIED,
    outputs=({"v": 1}, "FnF.TaskTimeout"),
    calls=frozenset({"Call/r.1", "Call/r.1/2"}),
)

add_scenario(
    "a foreach of two waits, one message with a countdown",
    _EACH,
    flow=EACH_WAITS,
    input={"items": [1, 2]},
    outputs=({"all": [10, 20]},),
    settings={"max_countdown_messages": 1},
    calls=frozenset({"Call/r.1.0.2", "Call/r.1.1.2"}),
    counts={"IterationEntered": 2, "TaskSucceeded": 2, "IterationExited": 2, "StepExited": 5},
)

_INLINE = {"inline_steps": True}
_INLINE_COUNTS = {"TaskSucceeded": 2, "StepExited": 5, "ExecutionSucceeded": 1}
add_scenario("inline steps, one fault", _THREE, flow=INLINE, settings=_INLINE, counts=_INLINE_COUNTS, is_complete=True)
add_scenario("inline steps, two faults", _THREE, flow=INLINE, settings=_INLINE, counts=_INLINE_COUNTS, faults=2)
add_scenario("inline steps after a deadline", _TIMED, settings=_INLINE)
add_scenario(
    "inline steps of a foreach",
    _EACH,
    flow=INLINE_EACH,
    settings={**_EACH.settings, **_INLINE},
    counts={"IterationEntered": 3, "TaskSucceeded": 3, "IterationExited": 3, "StepExited": 7},
)


@pytest.fixture
def world_of(store_url: str) -> Iterator[Callable[[Scenario], World]]:
    worlds: list[World] = []

    def make(scenario: Scenario) -> World:
        functions = {
            "call": lambda input, context: {"v": 1},
            "item": lambda input, context: {"v": input["item"] * 10},
        }
        flows = {"flow": scenario.flow, "child": scenario.child}
        worlds.append(World(store_url, flows, functions, **scenario.settings))
        return worlds[-1]

    with deterministic(lambda: worlds[-1]):
        yield make
    for world in worlds:
        world.close()


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_schedule_ends_as_the_machine_decides(name: str, world_of: Callable[[Scenario], World]) -> None:
    scenario = SCENARIOS[name]
    world = world_of(scenario)
    world.container.starter.start("flow", scenario.input, "x")
    explorer = Explorer(
        world,
        Rules(
            scenario.outputs,
            scenario.calls,
            scenario.counts,
            scenario.settings.get("max_countdown_messages", Settings().max_countdown_messages),
        ),
        faults=scenario.faults + _MORE_FAULTS,
        stops=scenario.stops,
        pauses=scenario.pauses,
    )
    found = explorer.explore(_MAX_STEPS, _SEED)
    print(name, found)  # noqa: T201
    assert found.ends
    assert found.is_complete or not scenario.is_complete
