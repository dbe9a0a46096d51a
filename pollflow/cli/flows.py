"""`pollflow deploy` and `pollflow flows`: deploy flows and list them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pollflow.cli import documents
from pollflow.cli.exits import CommandError
from pollflow.cli.flow_files import load_deployable, without_flow_tests
from pollflow.cli.options import AsJson, By, ProjectFolder, RedisUrl, valid_name
from pollflow.cli.output import print_json, write_line
from pollflow.cli.session import connected, find_location, find_used_location
from pollflow.cli.tables import Column, print_table
from pollflow.cli.texts import moment
from pollflow.client import name_of_file
from pollflow.errors import DefinitionError
from pollflow.fdl import Flow, Problem, load_flow

FlowFiles = Annotated[list[Path], typer.Argument(metavar="FLOWFILE...", help="The flows' YAML files.")]
FlowName = Annotated[
    str | None,
    typer.Option(
        "--name",
        "-n",
        metavar="NAME",
        callback=valid_name,
        help="The flow's name. The default is the file name with - for _.",
    ),
]

COLUMNS = (
    Column("FLOW"),
    Column("DEPLOYED", drop=2),
    Column("DIGEST", drop=1),
    Column("DESCRIPTION", drop=3, least=12),
)


def deploy(
    *,
    flow_files: FlowFiles,
    name: FlowName = None,
    by: By = None,
    as_json: AsJson = False,
    redis: RedisUrl = None,
    project: ProjectFolder = None,
) -> None:
    """Deploy flows.

    `pollflow start` needs a deployed flow. All files are checked before the first flow is deployed. Flow
    tests among the files are skipped. Running executions keep the definition that they started with.
    """
    flow_files = without_flow_tests(flow_files)
    if name is not None and len(flow_files) > 1:
        raise CommandError("--name needs exactly one flow file; deploy several files one by one")
    _load_all(flow_files, load_deployable)  # an invalid flow is reported without starting a server
    with connected(find_location(redis, project, near=flow_files[0])) as session:
        settings = session.client.settings
        longest, largest = settings.max_wait, settings.max_definition_bytes
        flows = _load_all(flow_files, lambda path: load_flow(path, max_wait_seconds=longest, max_bytes=largest))
        deployed = [
            session.client.deploy_text(flow.text, name or name_of_file(path), path=str(path), by=by)
            for path, flow in zip(flow_files, flows, strict=True)
        ]
    if as_json:
        print_json([documents.of_flow(flow) for flow in deployed])
        return
    for path, flow in zip(flow_files, deployed, strict=True):
        write_line(f"deployed {flow.name} from {path} ({flow.digest[:12]})")
        for warning in flow.warnings:
            write_line(str(warning), is_error=True)


def flows(as_json: AsJson = False, redis: RedisUrl = None, project: ProjectFolder = None) -> None:
    """List the deployed flows."""
    with connected(find_used_location(redis, project)) as session:
        found = session.client.flows()
    if as_json:
        print_json([documents.of_flow(flow) for flow in found])
        return
    rows = [(flow.name, moment(flow.modified_at), flow.digest[:12], flow.description) for flow in found]
    print_table(COLUMNS, rows, empty="no flows are deployed")


def _load_all(paths: list[Path], load: Callable[[Path], Flow]) -> list[Flow]:
    """Return the flows of all files. Raises DefinitionError with the problems of all files."""
    found: list[Flow] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found.append(load(path))
        except DefinitionError as error:
            problems.extend(error.problems)
    if problems:
        raise DefinitionError(problems)
    return found
