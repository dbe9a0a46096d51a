"""Short definitions and their problems, shared by the tests of this folder."""

from __future__ import annotations

from pollflow.errors import DefinitionError
from pollflow.fdl import Flow, lint, read_flow

HEAD = "version: v1\ntype: flow\nsteps:\n"
"""Three lines, so that the first step is in line 4."""


def flow_of(*steps: str, head: str = HEAD) -> Flow:
    """Return a flow of the steps, one per line and in braces."""
    return read_flow(text_of(*steps, head=head))


def text_of(*steps: str, head: str = HEAD) -> str:
    return head + "".join(f"  - {{{step}}}\n" for step in steps)


def problems_of(text: str | bytes, **options: float) -> list[str]:
    """Return the problems of a definition as text, without the file name."""
    try:
        read_flow(text, **options)
    except DefinitionError as error:
        return [str(problem).removeprefix("<definition>:") for problem in error.problems]
    return []


def problems_of_steps(*steps: str) -> list[str]:
    return problems_of(text_of(*steps))


def codes_of(flow: Flow, **options: object) -> list[tuple[str, str]]:
    """Return code and field of each warning."""
    return [(problem.code, problem.field) for problem in lint(flow, **options)]  # type: ignore[arg-type]
