"""The functions and settings of a project's app, read by importing `worker.py` and the modules that it includes.

`main` does this in a process of its own, for commands that do not run the app's code themselves.
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
    """The functions and settings of a project's app."""

    functions: Functions
    settings: Settings


def app_of(project: Path) -> ProjectApp:
    """Import the project's app. Raises CommandError if there is none or the import fails."""
    from pollflow.runtime.functions import default
    from pollflow.runtime.settings import Settings  # imports redis, which flows outside a project do not need

    if not (project / APP_FILE).is_file():
        raise CommandError(f"{project} has no {APP_FILE}, so it has no functions; `pollflow init` writes one")
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))
    try:
        app = importlib.import_module(Path(APP_FILE).stem).app
        app.loader.import_default_modules()
        return ProjectApp(default, Settings.of(app.conf))
    except Exception as error:  # the modules of users may raise anything
        raise CommandError(f"{project / APP_FILE} cannot be imported: {type(error).__name__}: {error}") from error


def main() -> None:
    """Import the app of the current folder. If that fails, print the error and exit with status 2."""
    try:
        app_of(Path.cwd())
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(REFUSED)
