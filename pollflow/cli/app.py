"""The command `pollflow`: its own options and its entry point. `commands` lists the commands below it."""

from __future__ import annotations

from typing import Annotated

import typer

from pollflow.cli import interruptions
from pollflow.cli.encoding import use_escapes
from pollflow.cli.group import CONTEXT_SETTINGS, CommandGroup
from pollflow.cli.output import write_line
from pollflow.cli.release import release
from pollflow.cli.selection import APP_OPTION, selection
from pollflow.cli.server_text import remember_server

# Plain help pages: rich takes as long to import as all that `pollflow --help` needs besides.
app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=CONTEXT_SETTINGS,
    help="Durable polling flows on Celery and Redis.",
    epilog="`pollflow COMMAND --help` explains a command and shows an example.",
)


def main() -> None:
    """Run the command that `sys.argv` names."""
    use_escapes()
    interruptions.listen()
    app(prog_name="pollflow")


def _print_version(is_requested: bool) -> None:
    if is_requested:
        write_line(f"pollflow {release()}")
        raise typer.Exit


@app.callback()
def top(
    app_name: Annotated[str | None, APP_OPTION] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Accept the options before the command."""
    selection.reset(app_name)
    remember_server("")
