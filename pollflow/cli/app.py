"""The command: which commands there are. A new one is a function in a module of its own, and a line in `COMMANDS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import typer

from pollflow.cli import interruptions
from pollflow.cli.demo import demo
from pollflow.cli.executions import history, list_, purge, show, stop
from pollflow.cli.exits import CommandGroup
from pollflow.cli.flows import deploy, flows
from pollflow.cli.init import init
from pollflow.cli.lint import lint
from pollflow.cli.release import release
from pollflow.cli.run import run
from pollflow.cli.start import start
from pollflow.cli.testing import schema, simulate, test
from pollflow.cli.worker import worker

RUNNING, LOOKING, WRITING = "Run flows", "Look at executions", "Write flows"


class Command(NamedTuple):
    """A command: what it does, where it stands in the help, and how it is typed."""

    function: Callable[..., None]
    panel: str
    example: str


COMMANDS = (
    Command(run, RUNNING, """pollflow run flows/task_polling.yaml --input '{"delay": 20}'"""),
    Command(deploy, RUNNING, "pollflow deploy flows/task_polling.yaml"),
    Command(flows, RUNNING, "pollflow flows"),
    Command(start, RUNNING, """pollflow start task-polling --input '{"delay": 20}' --name nightly --wait"""),
    Command(worker, RUNNING, "pollflow worker --concurrency 8"),
    Command(list_, LOOKING, "pollflow list --flow task-polling --status Failed"),
    Command(show, LOOKING, "pollflow show task-polling/nightly"),
    Command(history, LOOKING, "pollflow history task-polling/nightly"),
    Command(stop, LOOKING, "pollflow stop task-polling/nightly --error NotNeeded --cause 'started by mistake'"),
    Command(purge, LOOKING, "pollflow purge task-polling/nightly"),
    Command(demo, WRITING, "pollflow demo"),
    Command(init, WRITING, "pollflow init my-project"),
    Command(lint, WRITING, "pollflow lint flows"),
    Command(test, WRITING, "pollflow test flows"),
    Command(simulate, WRITING, """pollflow simulate flows/task_polling.yaml --input '{"delay": 20}'"""),
    Command(schema, WRITING, "pollflow schema > fdl.schema.json"),
)


def main() -> None:
    """The entry point."""
    interruptions.listen()
    app(prog_name="pollflow")


def made(commands: Sequence[Command]) -> typer.Typer:
    """The command with these commands below it."""
    group = typer.Typer(
        cls=CommandGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Durable polling flows on Celery and Redis.",
    )
    group.callback()(_top)
    for command in commands:
        group.command(
            command.function.__name__.removesuffix("_"),
            rich_help_panel=command.panel,
            help=_unwrapped(command.function.__doc__ or ""),
            epilog=f"Example: [bold]{command.example}[/bold]",
        )(command.function)
    return group


def _unwrapped(text: str) -> str:
    """A docstring whose paragraphs fill the terminal's lines, not those of the source."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"pollflow {release()}")
        raise typer.Exit


def _top(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What may stand before the command."""


app = made(COMMANDS)
