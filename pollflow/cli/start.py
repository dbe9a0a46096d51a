"""`pollflow start`: start an execution for workers that run elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pollflow.cli import documents
from pollflow.cli.exits import status_of
from pollflow.cli.inputs import read_input
from pollflow.cli.options import AsJson, Input, Name, ProjectFolder, RedisUrl, seconds
from pollflow.cli.output import print_json
from pollflow.cli.session import Session, connected, find_used_location
from pollflow.cli.summary import next_commands, print_next, print_result
from pollflow.cli.texts import compact
from pollflow.cli.views import Plain, Silent
from pollflow.cli.watching import watching

if TYPE_CHECKING:
    from pollflow.client import Execution

FlowName = Annotated[str, typer.Argument(metavar="FLOW", help="The name of a deployed flow.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end. Exit status 1 unless it succeeded.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", callback=seconds, help="With --wait: the maximum time to wait."),
]


def start(
    *,
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

    If an execution of that name is running, the command reports it and starts no other. Workers run the execution;
    start one with `pollflow worker` or `celery -A worker worker`.
    """
    execution_input = read_input(input)
    location = find_used_location(redis, project)
    with watching(location) as watched, connected(location) as session:
        execution = session.client.start(flow, execution_input, name=name)
        if not execution.is_new and execution.input != execution_input:
            typer.echo(f"{flow}/{name} is already running, with the input {compact(execution.input)}", err=True)
            typer.echo("the new input is not used; use another --name to start another execution", err=True)
        if wait:
            watched.execution = execution
            execution = execution.wait(timeout)
        _print_started(execution, session, wait=wait, as_json=as_json)
    if wait:
        raise typer.Exit(status_of(execution.status))


def _print_started(execution: Execution, session: Session, *, wait: bool, as_json: bool) -> None:
    output = Silent() if as_json else Plain()
    if as_json:
        print_json(documents.of_execution(execution))
    elif wait:
        print_result(execution, output)
    else:
        output.write(f"{'started' if execution.is_new else 'already running:'} {execution.flow}/{execution.name}")
    commands = next_commands(execution, session.location)
    if session.is_embedded and not wait:
        commands.insert(0, (session.location.command("worker"), "run a worker, if none is running"))
    print_next(commands, output)
