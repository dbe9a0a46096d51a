"""`pollflow lint`: print the errors and warnings of flow files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pollflow.cli.asked_app import asked_app
from pollflow.cli.exits import FAILED, CommandError
from pollflow.cli.flow_files import without_flow_tests
from pollflow.cli.lint_formats import as_github, as_json, as_sarif, as_text
from pollflow.cli.output import write_line, write_lines
from pollflow.cli.texts import counted
from pollflow.client import name_of_file
from pollflow.errors import DefinitionError
from pollflow.fdl import Flow, Problem, load_flow
from pollflow.fdl import lint as warnings_of
from pollflow.fdl.files import files_below
from pollflow.testing.files import is_flow_test

if TYPE_CHECKING:
    from pollflow.cli.imported_app import ImportedApp

SUFFIXES = (".yaml", ".yml")


class Format(str, Enum):
    """The output format of problems."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


FORMATS: dict[Format, Callable[[Sequence[Problem]], str]] = {
    Format.TEXT: as_text,
    Format.JSON: as_json,
    Format.GITHUB: as_github,
    Format.SARIF: as_sarif,
}

Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Flow files, or folders of .yaml and .yml files.")]
AsFormat = Annotated[Format, typer.Option("--format", help="The output format; github prints annotations.")]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.")]


def lint(paths: Paths, format: AsFormat = Format.TEXT, json: Json = False) -> None:
    """Check flow files without running them.

    Errors are problems for which `pollflow deploy` rejects a flow; they give exit status 1. Warnings are valid but
    probably wrong. Flow tests among the files are skipped.

    lint runs no code of the project unless -A or --functions asks for it. Then it imports the app in a process of its
    own, reports functions that the app has not registered, and checks flows against the limits of its settings. If the
    app cannot be imported, a warning says so.
    """
    files = _files(paths)
    with asked_app(files[0]) as app:
        problems = [problem for file in files for problem in problems_of(file, app)]
    chosen = Format.JSON if json else format
    printed = FORMATS[chosen](problems)
    if printed:
        write_lines(printed)
    errors = sum(problem.severity == "error" for problem in problems)
    if chosen is Format.TEXT:
        counts = (counted(len(files), "file"), counted(errors, "error"), counted(len(problems) - errors, "warning"))
        write_line(", ".join(counts), is_error=True)
    if errors:
        raise typer.Exit(FAILED)


def problems_of(file: Path, app: ImportedApp | None = None) -> tuple[Problem, ...]:
    """Return the errors of a file, or its warnings if it has no errors. The app provides functions and limits."""
    try:
        flow = _loaded(file, app)
    except DefinitionError as error:
        return error.problems
    flow_name, path = name_of_file(file), str(file)
    if app is None:
        return warnings_of(flow, flow_name=flow_name, path=path)
    return warnings_of(
        flow,
        known_functions=app.functions,
        flow_name=flow_name,
        event_limit=app.max_events,
        path=path,
    )


def _loaded(file: Path, app: ImportedApp | None) -> Flow:
    if app is None:
        return load_flow(file)
    return load_flow(file, max_wait_seconds=app.max_wait, max_bytes=app.max_definition_bytes)


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += _flows_in(path) if path.is_dir() else [path]
    return without_flow_tests(list(dict.fromkeys(found)))


def _flows_in(folder: Path) -> list[Path]:
    inside = [file for file in files_below(folder) if file.suffix in SUFFIXES and not is_flow_test(file)]
    if not inside:
        raise CommandError(f"{folder} contains no flow files (.yaml or .yml)")
    return inside
