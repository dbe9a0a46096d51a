"""The app of a command that reads flows: none, unless the command line asks for it by `-A` or `--functions`.

A command that reads, such as `lint`, runs no code of the project unasked: the project may be the checkout of a
stranger. If it is asked, a process of its own imports the app (`app_process`). Whatever the app does there changes no
result of the command, which then works without the app and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pollflow.cli.exits import CommandError
from pollflow.cli.output import write_lines
from pollflow.cli.selection import selection
from pollflow.errors import PollflowError

if TYPE_CHECKING:
    from pollflow.cli.imported_app import ImportedApp


def is_asked() -> bool:
    """Return whether the command line asks for the app."""
    return selection.app is not None or selection.functions


@contextmanager
def asked_app(near: Path, project: Path | None = None) -> Iterator[ImportedApp | None]:
    """Import the app for the block, if the command line asks for it; None if it does not, or if the app has failed.

    The app is that of the project, or of the project nearest to a file, as for all commands.
    """
    with ExitStack() as stack:
        app: ImportedApp | None = None
        if is_asked():
            try:
                app = _import(near, project, stack)
            except (PollflowError, OSError) as error:
                write_lines(f"warning: the app is not used: {error}", is_error=True)
        yield app


def _import(near: Path, project: Path | None, stack: ExitStack) -> ImportedApp:
    from pollflow.cli import imported_app
    from pollflow.cli.app_process import AppProcess
    from pollflow.cli.project_app import APP_FILE, REMEDIES
    from pollflow.cli.session import find_location

    location = find_location(None, project, near=near)
    if location.app is None:
        raise CommandError(
            f"no Celery app ({APP_FILE}, or a pyproject.toml that names the app) found in {location.project} or its "
            f"parent folders\n{REMEDIES}"
        )
    process = stack.enter_context(AppProcess(location.app, location.project, selection.time_limit))
    return imported_app.read(process)
