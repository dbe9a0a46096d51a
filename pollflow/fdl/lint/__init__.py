"""Warnings: constructs that are valid but probably wrong. Lint reads checked flows, and changes and refuses none."""

from __future__ import annotations

from collections.abc import Collection

from pollflow.fdl.fields import EVENT_LIMIT
from pollflow.fdl.lint.codes import LINT_CODES
from pollflow.fdl.lint.graph import Graphs
from pollflow.fdl.lint.inputs import lint_inputs
from pollflow.fdl.lint.loops import lint_loops
from pollflow.fdl.lint.report import LintReport
from pollflow.fdl.lint.sources import Locals, lint_sources
from pollflow.fdl.lint.steps import lint_steps
from pollflow.fdl.model import Flow
from pollflow.fdl.problems import Problem, in_order

__all__ = ["LINT_CODES", "lint"]


def lint(
    flow: Flow,
    *,
    known_functions: Collection[str] | None = None,
    flow_name: str | None = None,
    event_limit: int = EVENT_LIMIT,
    path: str = "<definition>",
) -> tuple[Problem, ...]:
    """Return the warnings of a flow by line; `LINT_CODES` lists their codes.

    `known_functions` are the names of the registered functions (full ARNs, `SERVICE/FUNCTION`, or `FUNCTION`); without
    them no resource is looked up. `flow_name` is the name that the flow is deployed under.
    """
    report = LintReport(flow, path)
    graphs = Graphs()
    if flow_name is not None and flow.name is not None and flow.name != flow_name:
        report.warn("name", "flow-name", f'"{flow.name}" is not the name of the flow, which is "{flow_name}"')
    lint_steps(flow, graphs, report, known_functions=known_functions)
    local_keys = Locals(graphs)
    lint_sources(flow, local_keys, report)
    lint_inputs(flow, local_keys, report)
    lint_loops(flow, graphs, report, event_limit=event_limit)
    for analysis in graphs.budget.exceeded():
        report.warn("", "analysis-limit", f"the flow is too large to check {analysis.value}")
    return in_order(report.problems)
