"""Warnings of single steps: unreachable, repeated names, unknown functions, errors that cannot be caught."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from typing_extensions import assert_never

from pollflow.fdl.lint.errors import lint_errors
from pollflow.fdl.lint.graph import Graphs
from pollflow.fdl.lint.report import LintReport
from pollflow.fdl.lint.sources import drops_result
from pollflow.fdl.model import (
    Flow,
    FlowResource,
    FunctionResource,
    Resource,
    ServiceResource,
    Step,
    TaskStep,
)
from pollflow.suggestions import nearest

_SHORT_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
"""`SERVICE/FUNCTION` or `FUNCTION`, the names by which functions are registered."""


def lint_steps(flow: Flow, graphs: Graphs, report: LintReport, *, known_functions: Collection[str] | None) -> None:
    """Warn of each step of the flow."""
    names: dict[str, Step] = {}
    for series in flow.series.values():
        reached = graphs.of(series).reached()
        for position, step in enumerate(series.steps):
            if position not in reached:
                report.warn(step.path, "unreachable-step", f'no path leads to the step "{step.name}"')
            first = names.setdefault(step.name, step)
            if first is not step:
                message = f'"{step.name}" is also the name of {first.path} (line {first.line})'
                report.warn(f"{step.path}.name", "repeated-name", message)
            if isinstance(step, TaskStep):
                _lint_task(step, report, known_functions=known_functions)


def _lint_task(step: TaskStep, report: LintReport, *, known_functions: Collection[str] | None) -> None:
    resource = step.resource
    arn_field = f"{step.path}.resourceArn"
    if isinstance(resource, ServiceResource) and not resource.takes_params and _is_odd(resource.arn):
        message = (
            "neither a short name nor the ARN of a function or flow; a function is SERVICE/FUNCTION, FUNCTION or "
            "acs:fc:::services/SERVICE/functions/FUNCTION, a flow is acs:fnf:::flow/NAME"
        )
        report.warn(arn_field, "odd-arn", message)
    names = _names(resource)
    if names and known_functions is not None and not any(name in known_functions for name in names):
        is_action = isinstance(resource, ServiceResource) and resource.takes_params and not _is_arn(resource.arn)
        field = f"{step.path}.action" if is_action else arn_field
        report.warn(field, "unknown-function", _unknown(names, () if report.is_full else sorted(known_functions)))
    if drops_result(step):
        message = "pollflow waits for the call in spite of Async, and drops its result"
        report.warn(f"{step.path}.serviceParams.InvocationType", "async-invocation", message)
    lint_errors(step, report)


def _names(resource: Resource) -> tuple[str, ...]:
    """Return the names under which the function is looked up, in order; none for a flow."""
    match resource:
        case FunctionResource():
            return resource.arn, f"{resource.service}/{resource.function}", resource.function
        case ServiceResource():
            return (resource.arn,)
        case FlowResource():
            return ()
        case _:
            assert_never(resource)


def _unknown(names: tuple[str, ...], known: Iterable[str]) -> str:
    function = names[1] if len(names) > 1 else names[0]
    close = dict.fromkeys(found for name in names for found in nearest(name, known, count=3))
    hint = f"; similar names: {', '.join(list(close)[:3])}" if close else ""
    return f"no function is registered for {function}{hint}"


def _is_arn(arn: str) -> bool:
    return arn.startswith("acs:")


def _is_odd(arn: str) -> bool:
    """Return whether an ARN that was not read as a function or flow looks as if it should have been."""
    return arn.startswith(("acs:fc:", "acs:fnf:")) if _is_arn(arn) else not _SHORT_NAME.fullmatch(arn)
