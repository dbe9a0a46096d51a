"""The functions that a flow calls, and whether somebody has registered them."""

from __future__ import annotations

from collections.abc import Iterable

from pollflow.cli.exits import CommandError
from pollflow.fdl import Flow, FlowResource, Resource, TaskStep
from pollflow.runtime.functions import Functions, missing_cause


def required_functions(flow: Flow) -> list[tuple[str, Resource]]:
    """The task steps of a flow that call functions, by name, and what they call; sub-flows are no functions."""
    steps = (step for series in flow.series.values() for step in series.steps)
    calls = [(step.name, step.resource) for step in steps if isinstance(step, TaskStep)]
    return [(name, resource) for name, resource in calls if not isinstance(resource, FlowResource)]


def check_functions(flow: Flow, registered: Iterable[str]) -> None:
    """Raises NotDone, with the near names, if the flow calls what is not registered."""
    known = Functions()
    for name in registered:
        known.register(name, _stand_in)
    missing = [
        f"step {name}: {missing_cause(resource, known)}"
        for name, resource in required_functions(flow)
        if known.find(resource) is None
    ]
    if missing:
        raise CommandError("the flow calls functions that nobody has registered\n  " + "\n  ".join(missing))


def _stand_in(input: object, context: object) -> None:
    """Stands for a function that another process knows."""
