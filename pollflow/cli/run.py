"""`pollflow run`: run a flow from its file to its end, on an isolated server and a worker of its own."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pollflow.cli import documents
from pollflow.cli.exits import CommandError, status_of
from pollflow.cli.flow_files import load_deployable, refuse_flow_test
from pollflow.cli.following import watch
from pollflow.cli.inputs import read_input, split_execution
from pollflow.cli.options import AsJson, Input, Name, ProjectFolder, RedisUrl, Unmask, seconds
from pollflow.cli.output import print_json
from pollflow.cli.required_functions import check_functions, required_functions
from pollflow.cli.session import Session, connected, find_location
from pollflow.cli.summary import next_commands, print_next, print_result
from pollflow.cli.views import busy, stdout_console, view
from pollflow.cli.watching import Watched, watching
from pollflow.cli.workers import Worker, app_of, working
from pollflow.client import name_of_file
from pollflow.fdl import ANY_SIZE, ANY_WAIT, NO_FILE, Flow, read_flow

if TYPE_CHECKING:
    from pollflow.client import Client, Execution

FlowFile = Annotated[Path | None, typer.Argument(metavar="FLOWFILE", help="The flow's YAML file.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        parser=seconds,
        help="Stop watching after this time. The execution continues.",
    ),
]
Follow = Annotated[
    str | None,
    typer.Option("--follow", metavar="FLOW/NAME", help="Follow an execution that was started before."),
]


@dataclass(frozen=True, slots=True)
class Request:
    """What to run: a flow from a file with an input, or an existing execution."""

    flow: Flow | None
    flow_name: str
    input: dict[str, Any]
    name: str | None
    is_existing: bool = False
    is_unmasked: bool = False
    path: str = NO_FILE

    def definition(self, client: Client) -> Flow:
        """Return the flow of the file, or the one of the existing execution."""
        return self.flow or read_flow(
            client.execution(self.flow_name, self.name or "").definition,
            max_wait_seconds=ANY_WAIT,
            max_bytes=ANY_SIZE,
        )

    def start(self, session: Session) -> Execution:
        """Deploy the flow and start the execution, or return the existing execution, as it is printed."""
        return session.shown(self._started(session.client), is_unmasked=self.is_unmasked)

    def _started(self, client: Client) -> Execution:
        if self.is_existing:
            return client.execution(self.flow_name, self.name or "")
        if self.flow is not None:
            client.deploy_text(self.flow.text, self.flow_name, path=self.path)
        return client.start(self.flow_name, self.input, name=self.name)


def run(
    *,
    flow_file: FlowFile = None,
    input: Input = "{}",
    name: Name = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    existing: Follow = None,
    unmask: Unmask = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Run a flow from its file and watch it to its end.

    The command starts a worker of the app on an isolated server and stops it at its end. Whatever Redis and broker the
    app uses, this worker takes none of their messages. The isolated server is the embedded server of the project. With
    --redis it is that Redis, under a key prefix and with a queue of its own. `pollflow start --follow` runs a flow on
    the app's own workers.

    The execution is durable: after Ctrl-C or a crash, the printed command continues it where it was.

    Exit status: 0 if the execution succeeded, 1 if it failed, timed out or was stopped, 2 if it could not be started.
    """
    request = replace(_request(flow_file, input, name, existing), is_unmasked=unmask)
    location = find_location(redis, project, near=flow_file, is_isolated=True)
    app_of(location)
    with watching(location) as watched, connected(location) as session:
        _run(request, session, watched, timeout=timeout, as_json=as_json)
    if watched.execution is not None:
        raise typer.Exit(status_of(watched.execution.status))


def _request(flow_file: Path | None, input: str, name: str | None, existing: str | None) -> Request:
    if existing is not None:
        flow_name, execution_name = split_execution(existing)
        return Request(None, flow_name, {}, execution_name, is_existing=True)
    if flow_file is None:
        raise CommandError("no flow file given; example: pollflow run flows/task_polling.yaml")
    refuse_flow_test(flow_file)
    # The longest wait and the size are settings of the app, so the deployment checks them.
    flow = load_deployable(flow_file)
    return Request(flow, name_of_file(flow_file), read_input(input), name, path=str(flow_file))


def _run(request: Request, session: Session, watched: Watched, *, timeout: float | None, as_json: bool) -> None:
    with ExitStack() as stack:
        # Fails at once if Redis cannot be reached; a worker would retry for a long time.
        session.client.functions()
        flow = request.definition(session.client)
        if request.is_existing:
            watched.execution = request.start(session)
        with busy(stdout_console(), "starting a worker", silent=as_json):
            watched.has_worker = True
            worker = stack.enter_context(working(session))
            _check_functions(flow, session, worker)
        watched.execution = execution = request.start(session)
        how = "following" if request.is_existing else "already running"
        watched.execution = execution = watch(
            execution, flow, how=how, timeout=timeout, check=worker.check, silent=as_json
        )
        if as_json:
            print_json(documents.of_execution(execution))
            return
        with view(stdout_console()) as output:
            print_result(execution, output)
            print_next(next_commands(execution, session.location), output)


def _check_functions(flow: Flow, session: Session, worker: Worker) -> None:
    """Raise CommandError if the flow calls a function that no worker has registered."""
    if not required_functions(flow):
        return
    worker.wait_until_ready()
    # Entries of earlier workers are stale.
    check_functions(flow, session.client.functions(within=worker.seconds() + 1))
