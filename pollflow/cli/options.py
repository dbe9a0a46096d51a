"""Options of several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pollflow.client.actor import actor
from pollflow.client.filters import status_filter
from pollflow.errors import InvalidArgument
from pollflow.fdl.durations import seconds_hint
from pollflow.runtime import arguments


def seconds(text: str) -> float:
    """Return the seconds that an option names. Another form, such as `10s`, is refused with the number to write."""
    try:
        value: float | str = float(text)
    except ValueError:
        value = text
    try:
        return arguments.number("it", value, unit="seconds")
    except InvalidArgument as error:
        hint = seconds_hint(text) if isinstance(value, str) else ""
        raise typer.BadParameter(f"{error}{hint}") from error


def valid_name(value: str | None) -> str | None:
    """Return the value of an option that names a flow or an execution."""
    try:
        return None if value is None else arguments.name("it", value)
    except InvalidArgument as error:
        raise typer.BadParameter(str(error)) from error


def valid_actor(value: str | None) -> str | None:
    """Return the value of an option that says who uses a command."""
    try:
        return None if value is None else actor(value, "")
    except InvalidArgument as error:
        raise typer.BadParameter(str(error).removeprefix("by ")) from error


def valid_statuses(values: list[str] | None) -> list[str]:
    """Return the values of an option that names statuses, a list: the oldest typer fails on None."""
    try:
        status_filter(values or None)
    except InvalidArgument as error:
        raise typer.BadParameter(str(error)) from error
    return values or []


def valid_url(value: str | None) -> str | None:
    """Return the value of an option that is a Redis URL. Refuses an empty one, such as an unset variable of a shell."""
    if value is None:
        return None
    from pollflow.store import RedisLocation  # imports redis

    try:
        RedisLocation.parse(value)
    except InvalidArgument as error:
        raise typer.BadParameter(str(error)) from error
    return value


RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis",
        metavar="URL",
        callback=valid_url,
        help="The Redis of the state. The default is that of the app.",
    ),
]
ProjectFolder = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="DIR",
        file_okay=False,
        exists=True,
        help="The folder of the project. The default is the current folder or its nearest parent with a worker.py, "
        "or with a pyproject.toml that names the app.",
    ),
]
Unmask = Annotated[
    bool, typer.Option("--unmask", help="Print the values that the setting pollflow_mask masks, such as passwords.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Input = Annotated[
    str,
    typer.Option("--input", "-i", metavar="JSON|@FILE|-", help="The input: a JSON object, a file, or standard input."),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        "-n",
        metavar="NAME",
        callback=valid_name,
        help="The name of the execution. The default is a random name.",
    ),
]
By = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="WHO",
        callback=valid_actor,
        help="Who does it, for the history and the audit log. The default is USER@HOST.",
    ),
]
ExecutionName = Annotated[str, typer.Argument(metavar="FLOW/NAME", help="The execution.")]
