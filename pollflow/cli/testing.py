"""`pollflow test`, `pollflow simulate`, `pollflow schema`: flows without waiting for their waits."""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pollflow.cli.exits import CommandError, status_of
from pollflow.cli.flow_files import refuse_flow_test
from pollflow.cli.inputs import read_input
from pollflow.cli.options import Input, ProjectFolder
from pollflow.cli.registered import app_of
from pollflow.cli.session import ENVIRONMENT, find_location
from pollflow.fdl import json_schema
from pollflow.store import connect
from pollflow.testing import command
from pollflow.testing.running import run_case

Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Flow test files, or folders of them.")]
Keyword = Annotated[
    str | None, typer.Option("-k", metavar="TEXT", help="Only cases with this in their name or their file's.")
]
Junit = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit report, as CI servers read it.")]
OnRedis = Annotated[
    bool,
    typer.Option(
        "--redis",
        help="Run on the Redis at POLLFLOW_REDIS_URL instead of a private server. Only keys of the tests are touched.",
    ),
]
FlowFile = Annotated[Path, typer.Argument(metavar="FLOW", help="The flow's file.")]
Script = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A YAML file with `functions` and `at`, as a case of a flow test has them."),
]
WithFunctions = Annotated[
    bool,
    typer.Option(
        "--functions",
        help="Really call the project's own functions, in this process: by the real clock, with all that they do.",
    ),
]
Until = Annotated[float | None, typer.Option(metavar="SECONDS", help="Stop after so many virtual seconds.")]


def test(paths: Paths, keyword: Keyword = None, junit: Junit = None, redis: OnRedis = False) -> None:
    """Run flow tests in virtual time.

    A flow that polls for an hour takes milliseconds. Prints a line a case, what differs where one fails, and how many
    passed. Exit status: 1 on a failure, 2 if there is nothing to run. docs/testing.md has the format.
    """
    runner = run_case if not redis else functools.partial(run_case, client=connect(_redis_url()))
    raise typer.Exit(command.test(paths, keyword=keyword, junit=junit, runner=runner, write=typer.echo))


def simulate(
    flow: FlowFile,
    input: Input = "{}",
    script: Script = None,
    functions: WithFunctions = False,
    until: Until = None,
    project: ProjectFolder = None,
) -> None:
    """Run a flow once in virtual time, and draw the run.

    What its functions answer is asked for at the terminal, unless a script or the project's functions answer. Exit
    status: 0 when the flow succeeded, 1 when it did not, 2 where a reply was asked for and none was given.
    """
    refuse_flow_test(flow)
    if script is not None and functions:
        raise CommandError("--script and --functions cannot both answer")
    with _brief_failures():
        result = command.simulate(
            flow,
            read_input(input),
            script=script,
            functions=app_of(find_location(None, project, near=flow).project).functions if functions else None,
            ask=None if script is not None or functions else _ask,
            until=until,
            write=typer.echo,
        )
    raise typer.Exit(status_of(result.status.value))


def schema() -> None:
    """Print the JSON Schema of the language, by which editors complete and check flow files."""
    typer.echo(json.dumps(json_schema(), indent=2))


def _ask(question: str) -> str:
    # Not by a prompt of typer: it makes exceptions of Ctrl-C and of the end of input, and those are taken for the
    # called function's own.
    try:
        return input(question)
    except EOFError:
        typer.echo()
        raise


class _Brief(logging.Formatter):
    """A failure in a line: where it came from in the function's code is for tests and workers to tell."""

    def formatException(self, ei: Any) -> str:
        return f"  {ei[0].__name__}: {ei[1]}"


@contextmanager
def _brief_failures() -> Iterator[None]:
    """What functions log is shown without tracebacks."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Brief())
    logger = logging.getLogger("pollflow.function")
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(handler)


def _redis_url() -> str:
    url = os.environ.get(ENVIRONMENT)
    if not url:
        raise CommandError(f"--redis runs the tests on the Redis that {ENVIRONMENT} names, but it is not set")
    return url
