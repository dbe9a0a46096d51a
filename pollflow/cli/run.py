"""`pollflow run`: a flow from its file to its end, with a server and a worker of its own where they are needed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pollflow.cli import documents
from pollflow.cli.exits import CommandError, status_of
from pollflow.cli.flow_files import refuse_flow_test
from pollflow.cli.following import catch_up, follow
from pollflow.cli.inputs import read_input, split_execution
from pollflow.cli.options import AsJson, Input, Name, ProjectFolder, RedisUrl
from pollflow.cli.output import print_json
from pollflow.cli.progress import Progress, steps_of
from pollflow.cli.required_functions import check_functions, required_functions
from pollflow.cli.resuming import Watched, resumable
from pollflow.cli.session import Session, connected, find_location
from pollflow.cli.summary import next_commands, notify_parents, tell_next
from pollflow.cli.texts import clean, compact, shortened
from pollflow.cli.views import View, retry_policy, stdout_console, view
from pollflow.cli.workers import Worker, check_project, working
from pollflow.client import name_of_file
from pollflow.fdl import ANY_WAIT, NO_FILE, Flow, load_flow, read_flow

if TYPE_CHECKING:
    from pollflow.client import Client, Execution

FlowFile = Annotated[Path | None, typer.Argument(metavar="FLOWFILE", help="The flow's YAML file.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", min=0, help="Stop watching after so long; the execution goes on."),
]
NoWorker = Annotated[bool, typer.Option("--no-worker", help="Leave the work to workers that run already.")]
Resume = Annotated[
    str | None,
    typer.Option("--resume", metavar="FLOW/NAME", help="Follow an execution that was started before to its end."),
]


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be run: a flow from a file, under an input; or an execution that exists already."""

    flow: Flow | None
    flow_name: str
    input: dict[str, Any]
    name: str | None
    is_resumed: bool = False
    path: str = NO_FILE

    def definition(self, client: Client) -> Flow:
        """The flow: that of the file, or the one that the execution keeps."""
        return self.flow or read_flow(
            client.execution(self.flow_name, self.name or "").definition, max_wait_seconds=ANY_WAIT
        )

    def begin(self, client: Client) -> Execution:
        """The execution, started unless it was before. Only now is anything stored."""
        if self.is_resumed:
            return client.execution(self.flow_name, self.name or "")
        if self.flow is not None:
            client.deploy_text(self.flow.text, self.flow_name, path=self.path)
        return client.start(self.flow_name, self.input, name=self.name)


def run(
    flow_file: FlowFile = None,
    input: Input = "{}",
    name: Name = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
    no_worker: NoWorker = False,
    resume: Resume = None,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Run a flow from its file and watch it to its end.

    The command starts a private Redis (unless one is configured) and a worker, and stops them when it ends. The
    execution is durable: after Ctrl-C or a crash, the printed command continues it where it was.

    Exit status: 0 if the execution succeeded, 1 if it failed, timed out or was stopped, 2 if it could not be started.
    """
    task = _task(flow_file, input, name, resume)
    location = find_location(redis, project, near=flow_file)
    if not no_worker:
        check_project(location.project)
    with resumable(location) as watched, connected(location) as session:
        _run(task, session, watched, timeout=timeout, as_json=as_json, with_worker=not no_worker)
    if watched.execution is not None:
        raise typer.Exit(status_of(watched.execution.status))


def _task(flow_file: Path | None, input: str, name: str | None, resume: str | None) -> Task:
    if resume is not None:
        flow_name, execution_name = split_execution(resume)
        return Task(None, flow_name, {}, execution_name, is_resumed=True)
    if flow_file is None:
        raise CommandError("which flow? Name its file: pollflow run flows/task_polling.yaml")
    refuse_flow_test(flow_file)
    # How long a wait may be is a setting, and known only when there is a worker.
    flow = load_flow(flow_file, max_wait_seconds=ANY_WAIT)
    return Task(flow, name_of_file(flow_file), read_input(input), name, path=str(flow_file))


def _run(
    task: Task, session: Session, watched: Watched, *, timeout: float | None, as_json: bool, with_worker: bool
) -> None:
    with ExitStack() as stack:
        # Asked first, since a worker would try for long to reach what is not there.
        session.client.functions()
        flow = task.definition(session.client)
        if task.is_resumed:
            watched.execution = task.begin(session.client)
        with retry_policy(stdout_console(), "starting a worker", silent=as_json or not with_worker):
            worker = stack.enter_context(working(session)) if with_worker else None
            _check_functions(flow, session, worker)
        watched.execution = execution = task.begin(session.client)
        progress = Progress(steps_of(flow))
        with view(stdout_console(), flow, silent=as_json) as shown:
            _tell_begin(execution, progress, shown, "resumed" if task.is_resumed else "runs already; followed")
            follow(execution, progress, shown, timeout=timeout, check=worker.check if worker else lambda: None)
        if as_json:
            print_json(documents.of_execution(execution))
            return
        with view(stdout_console()) as shown:
            notify_parents(execution, shown)
            tell_next(next_commands(execution, session.location), shown)


def _check_functions(flow: Flow, session: Session, worker: Worker | None) -> None:
    """Raises NotDone if the flow calls what its workers do not know."""
    if not required_functions(flow):
        return
    if worker is None:
        check_functions(flow, session.client.functions())
        return
    worker.wait_until_ready()
    # On a Redis of others, other workers may know the function. On the embedded one, names of days ago tell nothing.
    within = worker.seconds() + 1 if session.is_embedded else None
    check_functions(flow, session.client.functions(within=within))


def _tell_begin(execution: Execution, progress: Progress, shown: View, became: str) -> None:
    input = shortened(clean(compact(execution.input)), 200)
    shown.say(f"{execution.flow}/{execution.name}  {input}", "bold")
    if not execution.is_new:
        catch_up(execution, progress)
        locations = ", ".join(entry.step for entry in progress.open.values())
        shown.say(
            f"{became} after {progress.count} events"
            + (f", at {shortened(clean(locations), 200)}" if locations else "")
        )
