"""Hostile flows exhaust neither the memory nor the CPU time of a worker: their steps fail with documented errors."""

from __future__ import annotations

from typing import Any

import pytest

from pollflow import EntityTooLarge
from pollflow.fdl import read_flow
from pollflow.fdl.expr import compile_condition, values
from pollflow.machine import Arrived, ExecutionInfo, FrameState, Limits, begin, decide, step_context
from pollflow.machine.data import inputs_of, map_values
from pollflow.machine.refused import StepRefused
from pollflow.runtime import engine
from pollflow.testing import RunResult, VirtualRun
from tests.hostile.definitions import CHOICE, HEAD, MAPPED, TASK, nested

MANY = 1000
LIST = {"l": [1] * 14_000}
EQUAL = {"l": [1] * 5000, "m": [1.0] * 5000}
TOO_MANY_VALUES = "the conditions of the choice compare and collect more values than the limit of 300,000"


def run(text: str, input: dict[str, Any]) -> RunResult:
    return VirtualRun(read_flow(text), input, functions={"f": lambda *_: {}}).run()


@pytest.mark.parametrize("source", ["$input.l", "$input.l[*]"])
def test_mappings_that_copy_their_input_too_often_fail_the_step(source: str) -> None:
    mappings = "".join(f"  - {{target: a{number}, source: '{source}'}}\n" for number in range(MANY))
    result = run(HEAD + MAPPED + mappings, LIST)
    assert result.error == "FnF.DataLimitExceeded"
    assert result.cause is not None
    assert result.cause.startswith("the values that mappings read have at least 16,")
    assert result.cause.endswith("bytes, more than the limit of 16,777,216")


def test_paths_that_collect_and_drop_too_many_elements_fail_the_step() -> None:
    result = run(HEAD + MAPPED + "  - {target: a, source: '$input.l[*].x'}\n" * MANY, LIST)
    assert result.error == "FnF.DataLimitExceeded"


def test_mappings_of_nested_choices_read_too_much_together() -> None:
    mappings = "{target: l, source: $input.l}, " * 250
    choice = f"{{type: choice, name: c, inputMappings: [{mappings}], default: {{steps: [%s]}}}}"
    assert run(f"{HEAD}- {nested('{type: pass, name: p}', choice, 2)}\n", LIST).error is None
    result = run(f"{HEAD}- {nested('{type: pass, name: p}', choice, 3)}\n", LIST)
    assert result.error == "FnF.DataLimitExceeded"


def test_a_decision_makes_the_input_of_a_step_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FrameState] = []
    monkeypatch.setattr(
        step_context, "inputs_of", lambda flow, state, info: made.append(state) or inputs_of(flow, state, info)
    )
    text = (
        "- type: foreach\n  name: e\n  iterationMapping: {collection: $.l, item: i}\n  steps: [{type: pass, name: p}]\n"
    )
    flow, info = read_flow(HEAD + text), ExecutionInfo("f", "x", "id", 0.0, "secret", events=4)
    state = begin(flow, {"l": [1] * 20}, info, Limits()).state
    assert state is not None
    made.clear()
    children = decide(flow, state, Arrived(), info=info, limits=Limits()).spawn
    assert len(children) == 20
    assert sum(each.frame == state.frame for each in made) == 1


ITERATIONS = """- type: foreach
  name: e
  iterationMapping: {collection: $.c, item: i}
  steps:
  - {type: pass, name: p, inputMappings: [{target: s, source: $input.s}], outputMappings: [%s]}
  outputMappings: [%s]
"""


def test_locals_of_iterations_that_are_too_large_together_fail_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MAX_RESULTS_BYTES", 1 << 20)
    copies = ", ".join(f"{{target: a{number}, source: $input.s}}" for number in range(30))
    result = run(
        HEAD + ITERATIONS % (copies, "{target: o, source: '$local[0].none'}"), {"c": [1] * 60, "s": "x" * 1000}
    )
    cause = "the locals of all branches or iterations have at least 8,388,609 bytes, more than the limit of 8,388,608"
    assert (result.error, result.cause) == ("FnF.DataLimitExceeded", cause)


def test_mappings_that_copy_all_locals_of_iterations_fail_the_step() -> None:
    locals_of_all = [{"s": "x" * 30_000}] * 200
    mappings = read_flow(HEAD + MAPPED + "  - {target: a, source: $local}\n" * 3).steps.steps[0].output_mappings
    assert mappings is not None
    with pytest.raises(StepRefused, match="the values that mappings read"):
        map_values(mappings, {"local": locals_of_all})


def test_parameters_that_copy_the_input_too_often_fail_the_step() -> None:
    paths = "'$.l[*]', " * MANY
    result = run(f"{HEAD}- {{type: pass, name: a}}\n{TASK}  serviceParams: {{a: [{paths}]}}\n", LIST)
    assert result.error == "FnF.DataLimitExceeded"
    assert result.cause is not None
    assert result.cause.startswith("the values that mappings read")


def test_a_flow_that_copies_its_input_too_often_is_not_started() -> None:
    mappings = ", ".join(f"{{target: a{number}, source: $input.l}}" for number in range(MANY))
    text = f"version: v1\ntype: flow\ninputMappings: [{mappings}]\nsteps: [{{type: pass, name: a}}]\n"
    with pytest.raises(EntityTooLarge, match="the values that mappings read"):
        run(text, LIST)


@pytest.mark.parametrize("condition", ["$.l != $.m", "$.l[*] == 1", "$.l[*].a == 1"])
def test_conditions_that_read_too_much_fail_the_choice(monkeypatch: pytest.MonkeyPatch, condition: str) -> None:
    monkeypatch.setattr(values, "MAX_WORK", 300_000)
    options = "".join(f"  - {{condition: '{condition}', goto: c}}\n" for _ in range(MANY))
    result = run(HEAD + CHOICE + options, EQUAL)
    assert result.error == "FnF.RuntimeError"
    assert result.cause == f"condition {condition!r} of step 'c': {TOO_MANY_VALUES}"


@pytest.mark.parametrize("condition", ["$.a == $.b", "$.a < $.b", "$.a + $.b == $.a"])
def test_long_texts_count_by_their_length(monkeypatch: pytest.MonkeyPatch, condition: str) -> None:
    monkeypatch.setattr(values, "MAX_WORK", 100)
    texts = {"a": "x" * 60_000, "b": "x" * 60_000}
    with pytest.raises(values.ExpressionError, match="than the limit of 100"):
        compile_condition(condition).holds(texts)
    assert compile_condition("$.a != $.b").holds({"a": "x" * 100, "b": "y" * 100})
