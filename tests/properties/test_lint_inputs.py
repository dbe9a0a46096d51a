"""Lint reports no path that can lead to a value: an input has only keys that lint holds possible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from pollflow.fdl import Flow
from pollflow.fdl.lint.graph import Graphs
from pollflow.fdl.lint.inputs import Inputs
from pollflow.fdl.lint.sources import Locals
from pollflow.store import StoredEvent
from pollflow.testing import RunResult, run_paths
from pollflow.testing.cases import Case
from pollflow.testing.running import run_case
from tests.properties.test_machine import flows, functions, inputs, run_of, stimuli, thorough

FLOW_TESTS = Path(__file__).parents[1] / "flowtests"


def check_inputs(flow: Flow, history: tuple[StoredEvent, ...]) -> None:
    """Check the input of each step in a history. Steps of one name are checked together."""
    known = Inputs(flow, Locals(Graphs()))
    for event in history:
        if event.type != "StepStarted":
            continue
        steps = [step for series in flow.series.values() for step in series.steps if step.name == event.step]
        reached = [step.path for step in steps if step.path in known.of_steps]
        assert reached, f"{event.step} was entered"
        possible = [known.of_steps[path] for path in reached]
        assert any(keys is None or keys >= event.detail["input"].keys() for keys in possible), event


@thorough
@given(flows(), inputs, functions, stimuli)
def test_an_input_has_only_keys_that_lint_holds_possible(flow: Flow, input: Any, answers: Any, actions: Any) -> None:
    check_inputs(flow, run_of(flow, input, answers, actions)[1].history)


@pytest.mark.slow
def test_the_inputs_of_all_flow_tests_have_only_keys_that_lint_holds_possible() -> None:
    def run_and_check(case: Case, flow: Flow) -> RunResult:
        result = run_case(case, flow)
        check_inputs(flow, result.history)
        return result

    assert not run_paths([FLOW_TESTS], runner=run_and_check).failed
