"""`pollflow init`: write a new project without overwriting existing files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from pollflow.cli.exits import REFUSED
from pollflow.cli.session import ENVIRONMENT
from pollflow.cli.texts import columns

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".template"
"""The suffix keeps tools from treating the templates as modules of pollflow."""

Folder = Annotated[Path, typer.Argument(metavar="DIR", file_okay=False, help="The project's folder. It may exist.")]


@dataclass(frozen=True, slots=True)
class Written:
    """The paths of the files of a project, by what was done with them."""

    new: tuple[str, ...]
    same: tuple[str, ...]
    """Existing files with the content of the template."""
    kept: tuple[str, ...]
    """Existing files with other content, which were not changed."""


def init(folder: Folder) -> None:
    """Write a new project.

    The project has worker.py, beat_config.py, tasks/, flows/ and docker-compose.yml, and runs as it is. Existing files
    are never overwritten. The exit status is 2 if an existing file differs from its template.
    """
    written = write_project(folder)
    for path in written.new:
        typer.echo(f"wrote   {folder / path}")
    for path in written.same:
        typer.echo(f"same    {folder / path}")
    for path in written.kept:
        typer.echo(f"exists  {folder / path}: not changed", err=True)
    if written.kept:
        raise typer.Exit(REFUSED)
    typer.echo()
    for line in columns(next_commands(folder)):
        typer.echo(line)


def next_commands(folder: Path) -> list[tuple[str, str]]:
    """Return the commands to type in a new project, each with its purpose."""
    return [
        *([] if folder.resolve() == Path.cwd() else [(f"cd {folder}", "")]),
        ("pollflow run flows/task_polling.yaml --input '{\"delay\": 20}'", "run the flow and watch it"),
        ("pollflow lint --functions flows", "check it, and the names of its functions"),
        ("pollflow test flows", "test it in virtual time"),
        ("pollflow worker", "run a worker until Ctrl-C"),
        (f"{ENVIRONMENT}=redis://HOST:6379/0 celery -A worker worker", "run a worker on your own Redis"),
    ]


def templates() -> dict[str, str]:
    """Return the text of each file of a project by its path."""
    found = sorted(TEMPLATES.rglob(f"*{SUFFIX}"))
    return {path.relative_to(TEMPLATES).as_posix().removesuffix(SUFFIX): path.read_text("utf-8") for path in found}


def write_project(folder: Path) -> Written:
    """Write the missing files. Creating a file fails atomically if it exists."""
    new: list[str] = []
    same: list[str] = []
    kept: list[str] = []
    for path, text in templates().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            new.append(path)
        except FileExistsError:
            is_same = target.is_file() and target.read_bytes() == text.encode()
            (same if is_same else kept).append(path)
    return Written(tuple(new), tuple(same), tuple(kept))
