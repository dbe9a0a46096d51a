"""The functions that a flow calls, compared with the registered ones."""

from __future__ import annotations

from collections.abc import Iterable

from pollflow.cli.exits import CommandError
from pollflow.fdl import Flow, FlowResource, Resource, TaskStep
from pollflow.runtime.functions import Functions, missing_cause


def required_functions(flow: Flow) -> list[tuple[str, Resource]]:
    """Return the name and resource of each task step that calls a function; sub-flows are left out."""
    steps = (step for series in flow.series.values() for step in series.steps)
    calls = [(step.name, step.resource) for step in steps if isinstance(step, TaskStep)]
    return [(name, resource) for name, resource in calls if not isinstance(resource, FlowResource)]


def check_functions(flow: Flow, registered: Iterable[str]) -> None:
    """Raise CommandError, with the nearest names, if the flow calls a function that is not registered."""
    known = Functions()
    for name in registered:
        known.register(name, _placeholder)
    missing = [
        f"step {name}: {missing_cause(resource, known)}"
        for name, resource in required_functions(flow)
        if known.find(resource) is None
    ]
    if missing:
        raise CommandError("the flow calls functions that no worker has registered\n  " + "\n  ".join(missing))


def _placeholder(input: object, context: object) -> None:
    """A placeholder for a function of another process."""
