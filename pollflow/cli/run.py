"""`pollflow run`: run a flow from its file to its end, with a private server and worker where needed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pollflow.cli import documents
from pollflow.cli.exits import CommandError, status_of
from pollflow.cli.flow_files import load_deployable, refuse_flow_test
from pollflow.cli.following import catch_up, follow
from pollflow.cli.inputs import read_input, split_execution
from pollflow.cli.options import AsJson, Input, Name, ProjectFolder, RedisUrl
from pollflow.cli.output import print_json
from pollflow.cli.progress import Progress, steps_of
from pollflow.cli.required_functions import check_functions, required_functions
from pollflow.cli.session import Session, connected, find_location
from pollflow.cli.summary import next_commands, print_next, print_result
from pollflow.cli.texts import clean, compact, shortened
from pollflow.cli.views import View, busy, stdout_console, view
from pollflow.cli.watching import Watched, watching
from pollflow.cli.workers import Worker, check_project, working
from pollflow.client import name_of_file
from pollflow.fdl import ANY_WAIT, NO_FILE, Flow, read_flow

if TYPE_CHECKING:
    from pollflow.client import Client, Execution

FlowFile = Annotated[Path | None, typer.Argument(metavar="FLOWFILE", help="The flow's YAML file.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0, help="Stop watching after this time. The execution continues."),
]
NoWorker = Annotated[bool, typer.Option("--no-worker", help="Use workers that are already running.")]
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
    path: str = NO_FILE

    def definition(self, client: Client) -> Flow:
        """Return the flow of the file, or the one of the existing execution."""
        return self.flow or read_flow(
            client.execution(self.flow_name, self.name or "").definition, max_wait_seconds=ANY_WAIT
        )

    def start(self, client: Client) -> Execution:
        """Deploy the flow and start the execution, or return the existing execution."""
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
    no_worker: NoWorker = False,
    existing: Follow = None,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Run a flow from its file and watch it to its end.

    The command starts a private Redis (unless one is configured) and a worker, and stops them when it ends. The
    execution is durable: after Ctrl-C or a crash, the printed command continues it where it was.

    Exit status: 0 if the execution succeeded, 1 if it failed, timed out or was stopped, 2 if it could not be started.
    """
    request = _request(flow_file, input, name, existing)
    location = find_location(redis, project, near=flow_file)
    if not no_worker:
        check_project(location.project)
    with watching(location) as watched, connected(location) as session:
        _run(request, session, watched, timeout=timeout, as_json=as_json, with_worker=not no_worker)
    if watched.execution is not None:
        raise typer.Exit(status_of(watched.execution.status))


def _request(flow_file: Path | None, input: str, name: str | None, existing: str | None) -> Request:
    if existing is not None:
        flow_name, execution_name = split_execution(existing)
        return Request(None, flow_name, {}, execution_name, is_existing=True)
    if flow_file is None:
        raise CommandError("no flow file given; example: pollflow run flows/task_polling.yaml")
    refuse_flow_test(flow_file)
    # The maximum wait is a setting of the app, so the deployment checks it.
    flow = load_deployable(flow_file)
    return Request(flow, name_of_file(flow_file), read_input(input), name, path=str(flow_file))


def _run(
    request: Request, session: Session, watched: Watched, *, timeout: float | None, as_json: bool, with_worker: bool
) -> None:
    with ExitStack() as stack:
        # Fails at once if Redis cannot be reached; a worker would retry for a long time.
        session.client.functions()
        flow = request.definition(session.client)
        if request.is_existing:
            watched.execution = request.start(session.client)
        with busy(stdout_console(), "starting a worker", silent=as_json or not with_worker):
            watched.has_worker = with_worker
            worker = stack.enter_context(working(session)) if with_worker else None
            _check_functions(flow, session, worker)
        watched.execution = execution = request.start(session.client)
        progress = Progress(steps_of(flow))
        with view(stdout_console(), flow, silent=as_json) as output:
            _print_start(execution, progress, output, "following" if request.is_existing else "already running")
            follow(execution, progress, output, timeout=timeout, check=worker.check if worker else lambda: None)
        watched.execution = execution = execution.refresh()
        if as_json:
            print_json(documents.of_execution(execution))
            return
        with view(stdout_console()) as output:
            print_result(execution, output)
            print_next(next_commands(execution, session.location), output)


def _check_functions(flow: Flow, session: Session, worker: Worker | None) -> None:
    """Raise CommandError if the flow calls a function that no worker has registered."""
    if not required_functions(flow):
        return
    if worker is None:
        check_functions(flow, session.client.functions())
        return
    worker.wait_until_ready()
    # On a shared Redis, other workers may have registered the function. On the embedded server, old entries are stale.
    within = worker.seconds() + 1 if session.is_embedded else None
    check_functions(flow, session.client.functions(within=within))


def _print_start(execution: Execution, progress: Progress, output: View, how: str) -> None:
    input = shortened(clean(compact(execution.input)), 200)
    output.write(f"{execution.flow}/{execution.name}  {input}", "bold")
    if not execution.is_new:
        catch_up(execution, progress)
        steps = ", ".join(visit.step for visit in progress.open.values())
        output.write(
            f"{how}; {progress.count} events so far" + (f", at {shortened(clean(steps), 200)}" if steps else "")
        )
