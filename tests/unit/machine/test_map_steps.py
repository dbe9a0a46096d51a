"""Parallel and foreach steps: fan-out, ends of children and fan-in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pollflow.machine import (
    Arrived,
    AwaitChildren,
    Decision,
    FrameState,
    Join,
    Joined,
    Level,
    MessageMetadata,
    Outcome,
    ParentFrame,
    Phase,
    ScheduleStep,
    Status,
)
from tests.unit.machine.builders import INFO, after, at, at_next, entered, event, failed, flow_of, left, maps, step

BOTH = flow_of(
    step(
        "parallel",
        "P",
        branches=[{"steps": [step("pass", "A")]}, {"steps": [step("pass", "B")]}],
        outputMappings=maps(all="$local[*].v", input="$input.g"),
    ),
    step("pass", "Next"),
)
EACH = flow_of(
    step(
        "foreach",
        "F",
        iterationMapping={"collection": "$.list", "item": "x", "index": "i"},
        steps=[step("pass", "A", inputMappings=maps(x="$input.x", i="$input.i", y="$input.y"))],
    )
)


def child(name: str, series: str, input: Any, entered_by: int) -> FrameState:
    frame, entry, index = name.rsplit(".", 2)
    parent = ParentFrame(frame, int(entry), int(index))
    return FrameState(name, input, (Level(series, 0, {}, entered=entered_by),), parent=parent)


def test_branches_start_with_the_input_of_the_step_and_no_local() -> None:
    spawned = tuple(
        Decision(
            (event("BranchEntered", "P", index=index), *entered(name, {"g": 1})),
            state=child(f"r.1.{index}", f"steps[0].branches[{index}].steps", {"g": 1}, 12 + 3 * index),
            wake=ScheduleStep(MessageMetadata("pass", name)),
        )
        for index, name in enumerate("AB")
    )
    assert after(BOTH, at(input={"g": 1}), Arrived()) == Decision(
        (),
        state=at(input={"g": 1}, phase=Phase.JOINING),
        wake=AwaitChildren(MessageMetadata("parallel", "P"), total=2),
        spawn=spawned,
    )


def test_an_iteration_has_its_element_and_index_besides_the_input() -> None:
    input = {"list": [7], "y": 2}
    decision = after(EACH, at(input=input, local={"y": 3}), Arrived())
    inside = {"list": [7], "y": 3, "x": 7, "i": 0}
    assert decision.spawn == (
        Decision(
            (event("IterationEntered", "F", index=0), *entered("A", inside, {}, {"x": 7, "i": 0, "y": 3})),
            state=child("r.1.0", "steps[0].steps", inside, 12),
            wake=ScheduleStep(MessageMetadata("pass", "A")),
        ),
    )


def test_children_start_up_to_max_concurrency() -> None:
    input = {"list": list(range(10))}
    decision = after(EACH, at(input=input), Arrived(), max_concurrency=3)
    assert [state.frame for state in states(decision)] == ["r.1.0", "r.1.1", "r.1.2"]
    assert decision.wake == AwaitChildren(MessageMetadata("foreach", "F"), total=10)


@pytest.mark.parametrize(
    ("join", "started"),
    [(Join(10, 3, 1), [3]), (Join(10, 3, 3), [3, 4, 5]), (Join(10, 9, 9), [9]), (Join(10, 3, 0), [])],
)
def test_further_children_start_as_others_end(join: Join, started: list[int]) -> None:
    state = at(input={"list": list(range(10))}, phase=Phase.JOINING)
    decision = after(EACH, state, Arrived(join), max_concurrency=3)
    assert [child.input["i"] for child in states(decision)] == started
    assert (decision.wake, decision.state) == (AwaitChildren(MessageMetadata("foreach", "F")), state)


def test_an_empty_list_ends_the_step_at_once() -> None:
    flow = flow_of(
        step(
            "foreach",
            "F",
            iterationMapping={"collection": "$.list", "item": "x"},
            steps=[step("pass", "A")],
            outputMappings=maps(all="$local", names="$local[*].name"),
        )
    )
    decision = after(flow, at(input={"list": []}), Arrived())
    assert decision.outcome == Outcome(Status.SUCCEEDED, {"all": [], "names": []})


@pytest.mark.parametrize(("input", "problem"), [({}, "is missing"), ({"list": "abc"}, "is not a list")])
def test_a_collection_that_is_not_a_list_is_a_runtime_error(input: Any, problem: str) -> None:
    cause = f"collection of step 'F': $.list {problem}"
    assert after(EACH, at(input=input), Arrived()) == Decision(
        failed("F", error="FnF.RuntimeError", cause=cause),
        outcome=Outcome(Status.FAILED, None, "FnF.RuntimeError", cause),
    )


def test_a_joined_step_ends_with_the_locals_of_its_children_in_order() -> None:
    state = at(input={"g": 1}, phase=Phase.JOINING)
    local = {"all": [1, 2], "input": 1}
    assert after(BOTH, state, Joined(({"v": 1}, {"v": 2}))) == Decision(
        (*left("P", local, local), *entered("Next", {"g": 1}, local)),
        state=at_next(state, 1, local, events=2),
        wake=ScheduleStep(MessageMetadata("pass", "Next", entry=2)),
    )


def test_a_map_step_without_output_mappings_has_no_output() -> None:
    decision = after(EACH, at(input={"list": [1]}, phase=Phase.JOINING), Joined(({"v": 1},)))
    assert decision.outcome == Outcome(Status.SUCCEEDED, {})


@pytest.mark.parametrize(
    ("flow", "series", "kind", "owner"),
    [
        (BOTH, "steps[0].branches[1].steps", "BranchExited", "P"),
        (EACH, "steps[0].steps", "IterationExited", "F"),
    ],
)
def test_a_child_ends_with_its_local(flow: Any, series: str, kind: str, owner: str) -> None:
    state = replace(child("r.1.1", series, {}, 12), levels=(Level(series, 0, {"v": 1}, entered=12),))
    name = flow.series[series].steps[0].name
    assert after(flow, state, Arrived()) == Decision(
        (*left(name, local={"v": 1}), event(kind, owner, index=1, local={"v": 1})),
        outcome=Outcome(Status.SUCCEEDED, {"v": 1}),
    )


def test_a_failure_in_a_child_fails_all_enclosing_steps() -> None:
    inner = step("parallel", "Inner", branches=[{"steps": [step("fail", "Bad", error="E", cause="c")]}])
    option = step("choice", "C", default={"steps": [inner]})
    flow = flow_of(
        step("foreach", "Outer", iterationMapping={"collection": "$.list", "item": "x"}, steps=[option]),
    )
    series = "steps[0].steps[0].default.steps[0].branches[0].steps"
    state = child("r.1.0.2.0", series, {}, 20)
    assert after(flow, state, Arrived()) == Decision(
        failed("Bad", "Inner", "C", "Outer", error="E", cause="c"), outcome=Outcome(Status.FAILED, None, "E", "c")
    )


def test_a_step_in_a_branch_knows_the_event_that_entered_it() -> None:
    branch = {"steps": [step("pass", "A", inputMappings=maps(id="$context.step.eventId"))]}
    flow = flow_of(step("parallel", "P", branches=[branch, branch]))
    decision = after(flow, at(), Arrived())
    events = [event for spawned in decision.spawn for event in spawned.history]
    ids = [INFO.events + 1 + position for position, event in enumerate(events) if event.type == "StepEntered"]
    assert [event.detail["input"]["id"] for event in events if event.type == "StepStarted"] == ids


def states(decision: Decision) -> list[FrameState]:
    return [spawned.state for spawned in decision.spawn if spawned.state is not None]
