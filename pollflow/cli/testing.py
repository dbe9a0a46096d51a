"""`pollflow test`, `pollflow simulate`, `pollflow schema`: flows in virtual time, and their schema."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Annotated

import typer

from pollflow.cli.asked_app import asked_app, is_asked
from pollflow.cli.exits import CommandError, status_of
from pollflow.cli.flow_files import refuse_flow_test
from pollflow.cli.inputs import read_input
from pollflow.cli.options import Input, ProjectFolder, Unmask, seconds
from pollflow.cli.output import print_json, write_line, write_lines
from pollflow.cli.session import ENVIRONMENT
from pollflow.fdl import json_schema
from pollflow.printable import clean_lines, without_passwords

Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Flow test files, or folders with flow tests.")]
Keyword = Annotated[
    str | None, typer.Option("-k", metavar="TEXT", help="Only cases with this text in their name or file name.")
]
Junit = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit report for a CI server.")]
OnRedis = Annotated[
    bool,
    typer.Option(
        "--redis",
        help="Run on the Redis at POLLFLOW_REDIS_URL instead of a private server. Only keys of the tests are touched.",
    ),
]
FlowFile = Annotated[Path, typer.Argument(metavar="FLOWFILE", help="The flow's YAML file.")]
Script = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A YAML file with `functions` and `at`, as in a case of a flow test."),
]
Until = Annotated[float | None, typer.Option(metavar="SECONDS", parser=seconds, help="Stop after this virtual time.")]


def test(paths: Paths, keyword: Keyword = None, junit: Junit = None, redis: OnRedis = False) -> None:
    """Run flow tests in virtual time.

    A flow that polls for an hour takes milliseconds. The output has one line per case, the differences of each failed
    case, and the number of passed and failed cases. Exit status: 1 if a case failed, 2 if there is no case to run.
    docs/testing.md describes the file format.
    """
    from pollflow.store import connect
    from pollflow.testing import command  # imports the engine, which help pages do not need
    from pollflow.testing.running import run_case

    runner = run_case if not redis else functools.partial(run_case, client=connect(_redis_url()))
    raise typer.Exit(command.test(paths, keyword=keyword, junit=junit, runner=runner, write=write_lines))


def simulate(
    *,
    flow: FlowFile,
    input: Input = "{}",
    script: Script = None,
    until: Until = None,
    unmask: Unmask = False,
    project: ProjectFolder = None,
) -> None:
    """Run a flow once in virtual time and draw the run.

    At each call simulate asks for the result of the function, unless --script provides it. With -A or --functions it
    imports the app in a process of its own and calls its functions there, in real time and with their side effects; if
    the app cannot be imported, a warning says so. Exit status: 0 if the flow succeeded, 1 if it did not, 2 if a result
    was missing.
    """
    from pollflow.runtime.masking import DEFAULT_MASK, Mask
    from pollflow.testing import command

    refuse_flow_test(flow)
    if script is not None and is_asked():
        raise CommandError("--script excludes --functions and -A, since each provides the results of functions")
    values = read_input(input)
    with asked_app(flow, project) as app:
        mask = Mask.of(DEFAULT_MASK) if app is None else app.mask
        result = command.simulate(
            flow,
            values,
            script=script,
            functions=None if app is None else app.callables(),
            ask=None if script is not None or app is not None else _ask,
            until=until,
            mask=None if unmask else mask,
            write=write_lines,
        )
    raise typer.Exit(status_of(result.status.value))


def schema() -> None:
    """Print the JSON Schema of flow files, for editors."""
    print_json(json_schema())


def _ask(question: str) -> str:
    # The prompt of typer turns Ctrl-C and the end of input into exceptions that would count as errors of the called
    # function.
    try:
        # Python writes the question to a terminal itself, not through sys.stdout.
        return input(clean_lines(without_passwords(question)))
    except EOFError:
        write_line()
        raise


def _redis_url() -> str:
    url = os.environ.get(ENVIRONMENT)
    if not url:
        raise CommandError(f"--redis runs the tests on the Redis that {ENVIRONMENT} names, but it is not set")
    return url
