"""Hostile flows exhaust neither the memory nor the CPU time of a worker: their steps fail with documented errors."""

from __future__ import annotations

from typing import Any

import pytest

from pollflow import EntityTooLarge
from pollflow.fdl import read_flow
from pollflow.fdl.expr import compile_condition, values
from pollflow.testing import RunResult, VirtualRun
from tests.hostile.definitions import CHOICE, HEAD, MAPPED, TASK

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
    assert result.cause.startswith("the values that mappings read have at least 16,8")
    assert result.cause.endswith("bytes, more than the limit of 16,777,216")


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
