"""The group of all commands: it imports a command on first use, and turns errors into exit statuses."""

from __future__ import annotations

import errno
from typing import Any

import typer
from typer.core import TyperGroup

from pollflow.cli.commands import BY_NAME, COMMANDS, GROUPS, Command
from pollflow.cli.exits import INTERRUPTED, REFUSED, print_error
from pollflow.cli.interruptions import Interrupted
from pollflow.cli.output import safe_streams
from pollflow.cli.selection import with_options
from pollflow.errors import PollflowError

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}


class CommandGroup(TyperGroup):
    """Lists the commands by what a user does with them, runs one, and ends with its exit status."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        not_imported: Any = dict.fromkeys(BY_NAME)
        self.commands = not_imported

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command. Whatever it prints is safe to print, also the messages of click about its arguments."""
        with safe_streams():
            return super().main(*args, **options)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of that name, imported on first use; None if there is none."""
        if cmd_name in BY_NAME and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _imported(BY_NAME[cmd_name])
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under the headings of their groups, without importing them."""
        width = max(map(len, BY_NAME))
        for group in GROUPS:
            with formatter.section(group):
                rows = [(command.name.ljust(width), command.summary) for command in COMMANDS if command.group == group]
                formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Print errors as messages without tracebacks."""
        try:
            return super().invoke(ctx)
        except PollflowError as error:
            print_error(error)
            raise typer.Exit(REFUSED) from error
        except Interrupted as interrupted:
            raise typer.Exit(interrupted.exit_status) from interrupted
        except KeyboardInterrupt as interrupted:
            raise typer.Exit(INTERRUPTED) from interrupted
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # the reader of the output has ended; typer ends the command without a message
            print_error(error)
            raise typer.Exit(REFUSED) from error


def _imported(command: Command) -> Any:
    function = command.function()
    app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=CONTEXT_SETTINGS)
    app.command(
        command.name,
        help=_unwrapped(function.__doc__ or ""),
        epilog=f"\b\nExample:\n  {command.example}",
    )(with_options(function, command.uses))
    return typer.main.get_command(app)


def _unwrapped(text: str) -> str:
    """Join the lines of each paragraph of a docstring, so that the help fills the width of the terminal."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
