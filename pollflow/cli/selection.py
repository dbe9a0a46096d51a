"""The options of every command that uses the app or a server: `-A`, `--functions`, `--isolated` and `-v`.

They are the same for all these commands, so `with_options` adds them to the functions of the table of commands, and the
functions need not pass them on. `-A` may also stand before the command.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import typer


class Uses(Enum):
    """What a command uses, which decides about its options."""

    FILES = ()
    ASKED_APP = ("app", "functions", "time_limit")
    """The app, only if the command line asks for it; see `asked_app`."""
    APP = ("app",)
    """The app and no server."""
    SERVER = ("app", "isolated", "verbose")
    ISOLATED_SERVER = ("app", "verbose")

    def __init__(self, *options: str) -> None:
        # Not `value`: Python 3.11.0 to 3.11.2 replaces the value of an empty tuple.
        self.options = options


TIME_LIMIT = 30.0
"""How long the import of an asked app may take, and each call of its functions, in seconds."""


@dataclass(slots=True)
class Selection:
    """The values of the options."""

    app: str | None = None
    functions: bool = False
    time_limit: float = TIME_LIMIT
    isolated: bool = False
    verbose: bool = False

    def reset(self, app: str | None) -> None:
        """Begin a command; `app` is the value of an `-A` before it."""
        self.app, self.functions, self.time_limit, self.isolated, self.verbose = app, False, TIME_LIMIT, False, False


selection = Selection()
"""The selection of this process, which runs one command."""


def _seconds(text: str) -> float:
    from pollflow.cli.options import seconds  # imports the flow language, which the top-level help does not need

    return seconds(text)


def _valid_app(value: str | None) -> str | None:
    """Return the name of an app. Refuses an empty one, such as an unset variable of a shell."""
    if value == "":
        raise typer.BadParameter("it must not be empty")
    return value


APP_OPTION = typer.Option(
    "--app",
    "-A",
    metavar="MODULE[:NAME]",
    callback=_valid_app,
    help="The Celery app. The default is POLLFLOW_APP, else `app` under [tool.pollflow] in pyproject.toml, "
    "else worker.py; lint and simulate have no default.",
)
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "app": (Annotated[str | None, APP_OPTION], None),
    "functions": (
        Annotated[
            bool,
            typer.Option("--functions", help="Import the app that the project configures, for its functions."),
        ],
        False,
    ),
    "time_limit": (
        Annotated[
            float | None,
            typer.Option(
                "--time-limit",
                metavar="SECONDS",
                parser=_seconds,
                help=f"How long the import of the app, and each call, may take. The default is {TIME_LIMIT:g}.",
            ),
        ],
        None,
    ),
    "isolated": (
        Annotated[
            bool,
            typer.Option("--isolated", help="Use the isolated server, where `pollflow run` keeps its executions."),
        ],
        False,
    ),
    "verbose": (
        Annotated[bool, typer.Option("--verbose", "-v", help="Print which server, key prefix and app are used.")],
        False,
    ),
}


def with_options(function: Callable[..., None], uses: Uses) -> Callable[..., None]:
    """Return the function with the options as further parameters, whose values go to `selection`."""

    @functools.wraps(function)
    def command(*args: Any, **values: Any) -> None:
        for name in uses.options:
            value = values.pop(name)
            if value is not None and value is not False:  # one that is left out keeps the value from before the command
                setattr(selection, name, value)
        function(*args, **values)

    signature = inspect.signature(function, eval_str=True)
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    added = {
        name: inspect.Parameter(name, keyword_only, annotation=_OPTIONS[name][0], default=_OPTIONS[name][1])
        for name in uses.options
    }
    parameters = [*signature.parameters.values(), *added.values()]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
