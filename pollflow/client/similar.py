"""Suggestions for names that do not exist."""

from __future__ import annotations

from pollflow.errors import ExecutionNotExists
from pollflow.runtime.container import Container
from pollflow.store import ExecutionRef, similar_flow
from pollflow.suggestions import near

_MAX_NAMES = 1000
"""Names of executions that are compared, the latest first."""


def missing_execution(container: Container, ref: ExecutionRef) -> ExecutionNotExists:
    """Return the error for an execution that does not exist, with the nearest name."""
    names = [other.name for other in container.reading.refs(flow=ref.flow, status=None, limit=_MAX_NAMES)]
    return ExecutionNotExists(f'execution "{ref}" does not exist; {_hint(container, ref, names)}')


def _hint(container: Container, ref: ExecutionRef, names: list[str]) -> str:
    guess = near(ref.name, names)
    if guess is not None:
        return f'did you mean "{ref.flow}/{guess}"?'
    if names:
        return f'the latest execution of "{ref.flow}" is "{ref.flow}/{names[0]}"'
    deployed = container.definitions.names()
    if ref.flow in deployed:
        return f'flow "{ref.flow}" has no executions'
    return f'no flow "{ref.flow}" is deployed{similar_flow(ref.flow, deployed)}'
