"""Warnings of single steps: unreachable, repeated names, unknown functions, errors that cannot be caught."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from typing import Any

from typing_extensions import assert_never

from pollflow.fdl.lint.graph import Graphs
from pollflow.fdl.lint.report import LintReport
from pollflow.fdl.lint.sources import drops_result
from pollflow.fdl.model import (
    Flow,
    FlowResource,
    FunctionResource,
    Pattern,
    Resource,
    ServiceResource,
    Step,
    TaskStep,
)

UNCATCHABLE = ("FnF.DataLimitExceeded", "FnF.EventLimitExceeded", "FnF.ExecutionTimeout")


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
        message = "not the ARN of a function or flow; a function is acs:fc:::services/SERVICE/functions/FUNCTION"
        report.warn(arn_field, "odd-arn", message)
    names = _names(resource)
    if names and known_functions is not None and not any(name in known_functions for name in names):
        is_action = isinstance(resource, ServiceResource) and resource.takes_params and not _is_arn(resource.arn)
        field = f"{step.path}.action" if is_action else arn_field
        report.warn(field, "unknown-function", _unknown(names, known_functions))
    if drops_result(step):
        message = "pollflow waits for the call in spite of Async, and drops its result"
        report.warn(f"{step.path}.serviceParams.InvocationType", "async-invocation", message)
    # These errors of a sub-flow are ordinary failures of the step that waits for it.
    is_own = not isinstance(resource, FlowResource) or step.pattern is Pattern.REQUEST_RESPONSE
    for field, error in _caught(step):
        if is_own and error in UNCATCHABLE:
            message = f"{error} ends the execution; it is never retried or caught"
            report.warn(field, "uncatchable-error", message)


def _caught(step: TaskStep) -> Iterator[tuple[str, str]]:
    lists: tuple[tuple[str, tuple[Any, ...]], ...] = (("retry", step.retry), ("catch", step.catch))
    for name, policies in lists:
        for index, policy in enumerate(policies):
            for position, error in enumerate(policy.errors):
                yield f"{step.path}.{name}[{index}].errors[{position}]", error


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


def _unknown(names: tuple[str, ...], known: Collection[str]) -> str:
    function = names[1] if len(names) > 1 else names[0]
    close = dict.fromkeys(
        found for name in names for found in difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.6)
    )
    near = f"; similar names: {', '.join(list(close)[:3])}" if close else ""
    return f"no function is registered for {function}{near}"


def _is_arn(arn: str) -> bool:
    return arn.startswith("acs:")


def _is_odd(arn: str) -> bool:
    return not _is_arn(arn) or arn.startswith(("acs:fc:", "acs:fnf:"))
