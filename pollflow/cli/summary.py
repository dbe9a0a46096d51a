"""What is said of an execution when it has ended, and what to type next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pollflow.cli.session import ProjectLocation
from pollflow.cli.texts import between, clean, columns, pretty
from pollflow.cli.views import STATUS_STYLES, View

if TYPE_CHECKING:
    from pollflow.client import Execution


def notify_parents(execution: Execution, view: View) -> None:
    """Its status, how long it took, and its output or its error."""
    status, ended_at = execution.status, execution.ended_at
    took = "" if ended_at is None else f" after {between(execution.started_at, ended_at)}"
    view.say()
    view.say(f"{status}{took}", STATUS_STYLES.get(status, ""))
    if execution.output is not None:
        for line in pretty(execution.output).splitlines():
            view.say(line)
    if status != "Succeeded":
        view.say(error_of(execution))


def error_of(execution: Execution) -> str:
    """Its error and the cause, on a line each."""
    lines = [f"error: {clean(execution.error or 'none named')}"]
    if execution.cause:
        lines.append(f"cause: {clean(execution.cause)}")
    return "\n".join(lines)


def tell_next(commands: Sequence[tuple[str, str]], view: View) -> None:
    """What to type next, and what for."""
    view.say()
    view.say("Next", "dim")
    for line in columns(commands):
        view.say(f"  {line}")


def next_commands(execution: Execution, location: ProjectLocation) -> list[tuple[str, str]]:
    """What to type about an execution."""
    name = f"{execution.flow}/{execution.name}"
    return [
        (location.command(f"show {name}"), "its input, output and times"),
        (location.command(f"history {name}"), "every event"),
    ]
