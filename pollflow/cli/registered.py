"""What a project's own app says: its functions and settings, found by importing `worker.py` and what it includes.

Whoever does not want the app in its own process calls `main` in another one.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pollflow.cli.exits import REFUSED, CommandError
from pollflow.cli.session import APP_FILE

if TYPE_CHECKING:
    from pollflow.runtime.functions import Functions
    from pollflow.runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class ProjectApp:
    """The app of a project, as far as commands need it."""

    functions: Functions
    settings: Settings


def app_of(project: Path) -> ProjectApp:
    """The project's app, in this process. Raises NotDone if there is none, or it cannot be imported."""
    from pollflow.runtime.functions import default
    from pollflow.runtime.settings import Settings  # imports redis, which flows without a project do not need

    if not (project / APP_FILE).is_file():
        raise CommandError(f"{project} has no {APP_FILE}, so it has no functions; write one with `pollflow init`")
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))
    try:
        app = importlib.import_module(Path(APP_FILE).stem).app
        app.loader.import_default_modules()
        return ProjectApp(default, Settings.of(app.conf))
    except Exception as error:  # whatever a user's module raises while it is imported
        raise CommandError(f"{project / APP_FILE} cannot be imported: {type(error).__name__}: {error}") from error


def main() -> None:
    """Import the app of the current folder; exit with 2, and a word on standard error, if it cannot be imported."""
    try:
        app_of(Path.cwd())
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(REFUSED)
