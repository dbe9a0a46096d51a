"""`pollflow init`: write a new project without overwriting existing files."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from errno import ELOOP, ENOTDIR
from pathlib import Path, PurePath
from typing import Annotated

import typer

from pollflow.cli.exits import REFUSED, CommandError
from pollflow.cli.output import write_line
from pollflow.cli.session import ENVIRONMENT
from pollflow.cli.texts import columns

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".template"
"""The suffix keeps tools from treating the templates as modules of pollflow."""

_NEW, _SAME, _KEPT = "new", "same", "kept"

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
    are never overwritten, and no link is followed. The exit status is 2 if an existing file differs from its template.
    """
    written = write_project(folder)
    for path in written.new:
        write_line(f"wrote   {folder / path}")
    for path in written.same:
        write_line(f"same    {folder / path}")
    for path in written.kept:
        write_line(f"exists  {folder / path}: not changed", is_error=True)
    if written.kept:
        raise typer.Exit(REFUSED)
    write_line()
    for line in columns(next_commands(folder)):
        write_line(line)


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
    """Write the missing files, over no file and through no link, whatever another process does meanwhile.

    Raises CommandError if the folder, or one that the project needs in it, is a link or a file.
    """
    paths: dict[str, list[str]] = {_NEW: [], _SAME: [], _KEPT: []}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folders = _open_folders(folder, {PurePath(path).parent for path in templates()}, stack)
        for path, text in templates().items():
            outcome = _write(folders[PurePath(path).parent], PurePath(path).name, text.encode())
            paths[outcome].append(path)
    return Written(tuple(paths[_NEW]), tuple(paths[_SAME]), tuple(paths[_KEPT]))


def _open_folders(root: Path, names: set[PurePath], stack: ExitStack) -> dict[PurePath, int]:
    """Open the root and the folders in it, and make those that are missing. Return their descriptors by name."""
    opened = {PurePath(): _open_folder(root, None, root, stack)}
    for name in sorted(names - {PurePath()}):
        opened[name] = _open_folder(name, opened[name.parent], root / name, stack)
    return opened


def _open_folder(name: PurePath, parent: int | None, shown: Path, stack: ExitStack) -> int:
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError as error:
        if error.errno not in (ENOTDIR, ELOOP):
            raise
        raise CommandError(f"{shown} is a link or a file; init writes only into folders") from error
    stack.callback(os.close, descriptor)
    return descriptor


def _write(folder: int, name: str, content: bytes) -> str:
    def opener(path: str, flags: int) -> int:
        # Without O_NONBLOCK, reading from a pipe under the name of the file would block.
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666, dir_fd=folder)

    try:
        with open(name, "xb", opener=opener) as file:
            file.write(content)
    except FileExistsError:
        with suppress(OSError), open(name, "rb", opener=opener) as existing:
            return _SAME if existing.read(len(content) + 1) == content else _KEPT
        return _KEPT
    return _NEW
