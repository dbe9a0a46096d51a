"""The open steps of an execution as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pollflow.cli.texts import moment
from pollflow.printable import clean

if TYPE_CHECKING:
    from pollflow.client import Execution, OpenStep


def summary_of(execution: Execution) -> str:
    """Return the first open step with its state, and how many others there are."""
    if not execution.open_steps:
        return ""
    first, *others = execution.open_steps
    text = f"{_name(first)} ({first.state.value})"
    return text if not others else f"{text} and {len(others)} more"


def last_error_of(execution: Execution) -> str:
    """Return the error of the latest failed attempt of an open step; an empty text if none has failed."""
    return next((step.last_error for step in execution.open_steps if step.last_error), "")


def lines_of(execution: Execution) -> Iterator[tuple[str, str]]:
    """Yield a row for each open step: what it does, since when, until when, and on which worker."""
    for number, step in enumerate(execution.open_steps):
        yield "" if number else "open steps", f"{_name(step)} ({step.type}): {', '.join(_facts(step))}"


def _facts(step: OpenStep) -> Iterator[str]:
    if step.visit > 1:
        yield f"visit {step.visit}"
    if step.type == "task":
        yield f"attempt {step.attempt}"
    yield f"{step.state.value} since {moment(step.since)}"
    if step.due_at is not None:
        yield f"due {moment(step.due_at)}"
    if step.deadline_at is not None:
        yield f"deadline {moment(step.deadline_at)}"
    if step.worker is not None:
        yield f"on {clean(step.worker)}"
    if step.last_error is not None:
        yield f"last error {clean(step.last_error)}"
    if step.reason is not None:
        yield clean(step.reason)


def _name(step: OpenStep) -> str:
    """Return the name of a step, with the indexes of the branches and iterations around it: `Render[12]`."""
    # A frame is named by its parent, and the entry and index that started it: `r.3.12`.
    indexes = step.frame.split(".")[2::2]
    return clean(step.name) + "".join(f"[{index}]" for index in indexes)
