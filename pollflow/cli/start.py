"""`pollflow start`: starts an execution, and leaves it to workers that run elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pollflow.cli import documents
from pollflow.cli.exits import status_of
from pollflow.cli.inputs import read_input
from pollflow.cli.options import AsJson, Input, Name, ProjectFolder, RedisUrl
from pollflow.cli.output import print_json
from pollflow.cli.resuming import resumable
from pollflow.cli.session import Session, connected, find_used_location
from pollflow.cli.summary import next_commands, notify_parents, tell_next
from pollflow.cli.texts import compact
from pollflow.cli.views import Plain, Silent

if TYPE_CHECKING:
    from pollflow.client import Execution

FlowName = Annotated[str, typer.Argument(metavar="FLOW", help="The name of a deployed flow.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait for its end, and exit with 1 unless it succeeded.")]
Timeout = Annotated[
    float | None, typer.Option("--timeout", metavar="SECONDS", min=0, help="With --wait: wait no longer than this.")
]


def start(
    flow: FlowName,
    input: Input = "{}",
    name: Name = None,
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Start an execution of a deployed flow.

    Under the name of an execution that runs, it answers that one, on the input that it was started with: starting twice
    starts once. Workers, started with `pollflow worker` or `celery -A worker worker`, do the work.
    """
    execution_input = read_input(input)
    location = find_used_location(redis, project)
    with resumable(location) as watched, connected(location) as session:
        execution = session.client.start(flow, execution_input, name=name)
        if not execution.is_new and execution.input != execution_input:
            typer.echo(f"{flow}/{name} runs already, on the input {compact(execution.input)}", err=True)
            typer.echo("the input that was given now is not used; another --name starts another execution", err=True)
        if wait:
            watched.execution = execution
            execution.wait(timeout)
        _notify(execution, session, wait=wait, as_json=as_json)
    if wait:
        raise typer.Exit(status_of(execution.status))


def _notify(execution: Execution, session: Session, *, wait: bool, as_json: bool) -> None:
    shown = Silent() if as_json else Plain()
    if as_json:
        print_json(documents.of_execution(execution))
    elif wait:
        notify_parents(execution, shown)
    else:
        shown.say(f"{'started' if execution.is_new else 'runs already:'} {execution.flow}/{execution.name}")
    commands = next_commands(execution, session.location)
    if session.is_embedded and not wait:
        commands.insert(0, (session.location.command("worker"), "works on it, unless a worker runs"))
    tell_next(commands, shown)
