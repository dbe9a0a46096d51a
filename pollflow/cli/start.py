"""`pollflow start`: start an execution for workers that run elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pollflow.cli import documents
from pollflow.cli.exits import status_of
from pollflow.cli.following import watch
from pollflow.cli.inputs import read_input
from pollflow.cli.options import AsJson, By, Input, Name, ProjectFolder, RedisUrl, Unmask, seconds
from pollflow.cli.output import print_json, write_line
from pollflow.cli.session import Session, connected, find_used_location
from pollflow.cli.summary import next_commands, print_next, print_result
from pollflow.cli.texts import compact
from pollflow.cli.views import Plain, Silent
from pollflow.cli.watching import watching
from pollflow.fdl import ANY_SIZE, ANY_WAIT, read_flow

if TYPE_CHECKING:
    from pollflow.client import Execution

NO_INPUT = "{}"
FlowName = Annotated[str, typer.Argument(metavar="FLOW", help="The name of a deployed flow.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end. Exit status 1 unless it succeeded.")]
Follow = Annotated[bool, typer.Option("--follow", help="Watch the execution to its end, as `run` does.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", parser=seconds, help="With --wait or --follow: the maximum time to wait."
    ),
]


def start(
    *,
    flow: FlowName,
    input: Input = NO_INPUT,
    name: Name = None,
    wait: Wait = False,
    follow: Follow = False,
    timeout: Timeout = None,
    by: By = None,
    as_json: AsJson = False,
    unmask: Unmask = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Start an execution of a deployed flow.

    If an execution of that name is running, the command reports it and starts no other. The workers of the app run the
    execution; start one with `celery -A APP worker` or `pollflow worker`.
    """
    execution_input = read_input(input)
    location = find_used_location(redis, project)
    with watching(location, "start") as watched, connected(location) as session:
        execution = session.client.start(flow, execution_input, name=name, by=by)
        is_other = not execution.is_new and input != NO_INPUT and execution.input != execution_input
        execution = session.shown(execution, is_unmasked=unmask)
        if is_other:
            write_line(f"{flow}/{name} is already running, with the input {compact(execution.input)}", is_error=True)
            write_line("the new input is not used; use another --name to start another execution", is_error=True)
        if wait or follow:
            watched.execution = execution
        if follow:
            definition = read_flow(execution.definition, max_wait_seconds=ANY_WAIT, max_bytes=ANY_SIZE)
            execution = watch(execution, definition, timeout=timeout, silent=as_json)
        elif wait:
            execution = execution.wait(timeout)
        _print_started(execution, session, is_ended=wait or follow, as_json=as_json)
    if wait or follow:
        raise typer.Exit(status_of(execution.status))


def _print_started(execution: Execution, session: Session, *, is_ended: bool, as_json: bool) -> None:
    output = Silent() if as_json else Plain()
    if as_json:
        print_json(documents.of_execution(execution))
    elif is_ended:
        print_result(execution, output)
    else:
        output.write(f"{'started' if execution.is_new else 'already running:'} {execution.flow}/{execution.name}")
    commands = next_commands(execution, session.location)
    if session.is_embedded and not is_ended:
        commands.insert(0, (session.location.command("worker"), "run a worker, if none is running"))
    print_next(commands, output)
