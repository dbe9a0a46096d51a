"""Lint that has used up its budget says so, and reports nothing that it has not proved."""

from __future__ import annotations

import pytest

from pollflow.fdl import Problem, lint
from pollflow.fdl.lint import budget
from tests.unit.fdl.test_lint import flow_of

ROUND = (
    "type: pass, name: a, outputMappings: [{target: x, source: 1}]",
    "type: choice, name: b, inputMappings: [{target: c, source: $local.y}], choices: [{condition: $.c, goto: a}]",
)
NOTES = [
    "the flow is too large to check the keys that steps can read: some unset-input and unset-local may be missing",
    "the flow is too large to check the rounds of loops: some event-limit may be missing",
]


def warnings() -> tuple[Problem, ...]:
    return lint(flow_of(*ROUND), event_limit=100)


def test_an_analysis_beyond_its_budget_reports_nothing_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    complete = {problem.code for problem in warnings()}
    assert {"unset-local", "event-limit"} <= complete
    monkeypatch.setattr(budget, "LIMIT", 0)
    found = warnings()
    assert {problem.code for problem in found} == complete - {"unset-local", "event-limit"} | {"analysis-limit"}
    assert [problem.message for problem in found if problem.code == "analysis-limit"] == NOTES


@pytest.mark.parametrize("limit", range(1, 12))
def test_a_smaller_budget_only_loses_warnings(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    complete = set(warnings())
    monkeypatch.setattr(budget, "LIMIT", limit)
    assert {problem for problem in warnings() if problem.code != "analysis-limit"} <= complete
