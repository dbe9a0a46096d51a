"""Print the result of an ended execution and the commands to type next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pollflow.cli.session import ProjectLocation
from pollflow.cli.texts import between, columns, pretty
from pollflow.cli.tracebacks import last_failure
from pollflow.cli.views import STATUS_STYLES, View
from pollflow.printable import clean

if TYPE_CHECKING:
    from pollflow.client import Execution

_LAST_EVENTS = 50


def print_result(execution: Execution, view: View) -> None:
    """Print the status, the duration, and the output or the error."""
    status, ended_at = execution.status, execution.ended_at
    took = "" if ended_at is None else f" after {between(execution.started_at, ended_at)}"
    view.write()
    view.write(f"{status}{took}", STATUS_STYLES.get(status, ""))
    if execution.output is not None:
        for line in pretty(execution.output).splitlines():
            view.write(line)
    if status != "Succeeded":
        view.write(error_of(execution))


def error_of(execution: Execution) -> str:
    """Return the error and the cause on one line each."""
    lines = [f"error: {clean(execution.error or 'none')}"]
    if execution.cause:
        lines.append(f"cause: {clean(execution.cause)}")
    return "\n".join(lines)


def print_next(commands: Sequence[tuple[str, str]], view: View) -> None:
    """Print the commands to type next, each with its purpose."""
    view.write()
    view.write("Next", "dim")
    for line in columns(commands):
        view.write(f"  {line}")


def next_commands(execution: Execution, location: ProjectLocation) -> list[tuple[str, str]]:
    """Return the commands that show more of an execution, each with its purpose."""
    name = f"{execution.flow}/{execution.name}"
    commands = [
        (location.command(f"show {name}"), "its input, output and times"),
        (location.command(f"history {name}"), "every event"),
    ]
    if has_traceback(execution):
        commands.append((location.command(f"show {name} --traceback"), "the last exception of a function"))
    return commands


def has_traceback(execution: Execution) -> bool:
    """Return whether an execution failed soon after a function raised an exception."""
    if execution.status != "Failed":
        return False
    after = max(0, execution.description.events - _LAST_EVENTS)  # a long history is not read for a hint
    return last_failure(execution.events(after)) is not None
