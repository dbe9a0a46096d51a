"""Print the command that follows an execution when a command that watches it ends first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from pollflow.cli.exits import FAILED, REFUSED, CommandError, print_error
from pollflow.cli.output import write_line
from pollflow.cli.session import ProjectLocation
from pollflow.errors import StoreUnavailable, WaitTimeout

if TYPE_CHECKING:
    from pollflow.client import Execution


@dataclass(slots=True)
class Watched:
    """The watched execution, once it is started."""

    execution: Execution | None = None
    has_worker: bool = False
    """Whether the command has a worker, which says what an interruption does to the running calls."""


@contextmanager
def watching(location: ProjectLocation, command: str = "run") -> Iterator[Watched]:
    """Print how to follow the execution if the block ends by an interruption, a timeout or the loss of a process.

    `command` is the one that follows it: `run` or `start`.
    """
    watched = Watched()
    try:
        yield watched
    except KeyboardInterrupt:
        if not watched.has_worker:
            write_line("interrupted; the execution continues on its workers", is_error=True)
        _print_follow_command(watched, location, command)
        raise
    except (WaitTimeout, StoreUnavailable, CommandError) as error:
        print_error(error)
        _print_follow_command(watched, location, command)
        raise typer.Exit(FAILED if isinstance(error, WaitTimeout) else REFUSED) from error


def _print_follow_command(watched: Watched, location: ProjectLocation, command: str) -> None:
    if watched.execution is None:
        return
    flow, execution = watched.execution.flow, watched.execution.name
    name = f"{flow}/{execution}"
    words = f"run --follow {name}" if command == "run" else f"start {flow} --name {execution} --follow"
    write_line(f"The state of {name} is kept. To watch it to its end:", is_error=True)
    write_line(f"  {location.command(words)}", is_error=True)
