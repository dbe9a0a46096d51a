"""However the watching of an execution ends before the execution does, the command that resumes it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from pollflow.cli.exits import FAILED, REFUSED, CommandError, print_error
from pollflow.cli.session import ProjectLocation
from pollflow.errors import StoreUnavailable, WaitTimeout

if TYPE_CHECKING:
    from pollflow.client import Execution


@dataclass(slots=True)
class Watched:
    """The execution, as soon as there is one to watch."""

    execution: Execution | None = None


@contextmanager
def resumable(location: ProjectLocation) -> Iterator[Watched]:
    """Interruptions, time-outs, and the loss of worker or Redis end the block with a word on how to go on."""
    watched = Watched()
    try:
        yield watched
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        _tell_command(watched, location)
        raise
    except (WaitTimeout, StoreUnavailable, CommandError) as error:
        print_error(error)
        _tell_command(watched, location)
        raise typer.Exit(FAILED if isinstance(error, WaitTimeout) else REFUSED) from error


def _tell_command(watched: Watched, location: ProjectLocation) -> None:
    if watched.execution is None:
        return
    name = f"{watched.execution.flow}/{watched.execution.name}"
    typer.echo(f"What {name} has done is kept. To watch it to its end:", err=True)
    typer.echo(f"  {location.command(f'run --resume {name}')}", err=True)
