"""Nested map steps, the queues of children, and fan-outs that conflict."""

from __future__ import annotations

import json

from pollflow.runtime.routes import Routes
from tests.contract.conftest import Bench
from tests.contract.sub_flows import before_script, snapshot
from tests.flows import EACH

NESTED = """
version: v1
type: flow
steps:
  - type: foreach
    name: Outer
    iterationMapping: {collection: $.rows, item: row}
    steps:
      - type: foreach
        name: Inner
        iterationMapping: {collection: $.row, item: item}
        steps:
          - {type: task, name: Call, resourceArn: "acs:fc:::services/s/functions/call"}
        outputMappings: [{target: all, source: "$local[*].v"}]
    outputMappings: [{target: all, source: "$local[*].all"}]
"""

NUMBERED = """
version: v1
type: flow
steps:
  - type: foreach
    name: Each
    iterationMapping: {collection: $.items, item: item}
    steps:
      - type: task
        name: Call
        resourceArn: acs:fc:::services/s/functions/call
        inputMappings: [{target: event, source: $context.step.eventId}, {target: item, source: $input.item}]
"""


def test_an_ended_iteration_leaves_nothing_of_its_inner_map_step(bench: Bench) -> None:
    ref = bench.start(NESTED, {"rows": [[1, 2], [3]]})
    bench.functions.register("call", lambda input, context: {"v": input["item"]})
    bench.work()
    bench.sweep()
    assert bench.output(ref) == {"all": [[1, 2], [3]]}
    assert [key for key in bench.redis.keys("*") if ":results:" in key] == []


def test_results_of_a_purged_execution_are_not_read_by_its_namesake(bench: Bench) -> None:
    bench.functions.register("call", lambda input, context: {"v": input["item"]})
    ref = bench.start(NESTED, {"rows": [[1, 2, 3]]})
    bench.work()
    bench.container.maintenance.purge(bench.container.reading.execution(ref))
    assert [key for key in bench.redis.keys("*") if str(ref) in key] == []
    ref = bench.start(NESTED, {"rows": [[9]]})
    bench.work()
    assert bench.output(ref) == {"all": [[9]]}


def test_children_go_to_the_queues_of_their_steps(bench: Bench) -> None:
    bench.build_container(routes=Routes(queues={"task": "calls", "foreach": "celery"}))
    bench.start(EACH, {"items": [1, 2]})
    bench.handle_next()
    assert bench.queued() == []
    messages = [json.loads(text) for text in bench.redis.lrange("calls", 0, -1)]
    assert [message["properties"]["delivery_info"]["routing_key"] for message in messages] == ["calls"] * 2


def test_event_ids_of_children_are_right_after_a_conflict(bench: Bench) -> None:
    bench.build_container(max_concurrency=2)
    seen: dict[int, int] = {}

    def call(input: dict[str, int], context: object) -> dict[str, int]:
        seen[input["item"]] = input["event"]
        return {}

    bench.functions.register("call", call)
    ref = bench.start(NUMBERED, {"items": [0, 1, 2, 3]})
    bench.handle_next()
    first, second = bench.take(), bench.take()
    bench.container.engine.handle(first)
    before_script(bench, "fan_out", lambda: bench.container.engine.handle(second))
    bench.work()
    entered = [event for event in bench.history(ref) if event.type == "StepEntered" and event.step == "Call"]
    assert seen == {event.detail["input"]["item"]: event.id for event in entered}


def test_results_read_before_lost_writes_are_not_committed(bench: Bench) -> None:
    """Redis loses writes between the claim of the parent and its commit: an iteration runs again."""
    bench.build_container(max_concurrency=2)
    bench.functions.register("call", lambda input, context: {"v": input["item"]})
    ref = bench.start(EACH, {"items": [0, 1]})
    bench.handle_next()
    bench.handle_next()
    restore = snapshot(bench)
    bench.handle_next()
    before_script(bench, "advance", restore)
    before_script(bench, "end", restore)
    bench.handle_next()
    assert bench.status(ref) == "Running"
    bench.pass_time(3)
    bench.sweep()
    bench.work()
    kinds = [event.type for event in bench.history(ref)]
    assert (bench.output(ref), kinds.count("IterationExited")) == ({"all": [0, 1]}, 2)
