"""The functions that a project's own app registers, found by importing the app: `worker.py`, and what it includes.

Whoever does not want the app in its own process calls `main` in another one.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from pollflow.cli.exits import REFUSED, NotDone
from pollflow.cli.session import APP_FILE
from pollflow.runtime.functions import Functions, default


def functions_of(project: Path) -> Functions:
    """The functions of the project, in this process. Raises NotDone if there is no app, or it cannot be imported."""
    if not (project / APP_FILE).is_file():
        raise NotDone(f"{project} has no {APP_FILE}, so it has no functions; write one with `pollflow init`")
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))
    try:
        importlib.import_module(Path(APP_FILE).stem).app.loader.import_default_modules()
    except Exception as error:  # whatever a user's module raises while it is imported
        raise NotDone(f"{project / APP_FILE} cannot be imported: {type(error).__name__}: {error}") from error
    return default


def main() -> None:
    """Import the app of the current folder; exit with 2, and a word on standard error, if it cannot be imported."""
    try:
        functions_of(Path.cwd())
    except NotDone as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(REFUSED)
