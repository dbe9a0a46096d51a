"""The Celery app of a command: which one it is, and its import as by `celery -A`."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pollflow.cli import search_path
from pollflow.cli.exits import CommandError
from pollflow.errors import InvalidArgument, RedisNotConfigured

if TYPE_CHECKING:
    from pollflow.runtime.app import Attached

VARIABLE = "POLLFLOW_APP"
STATE_VARIABLE = "POLLFLOW_REDIS_URL"
APP_FILE = "worker.py"
PYPROJECT = "pyproject.toml"
REMEDIES = """\
  -A MODULE[:NAME]      the Celery app, as for `celery -A` (or POLLFLOW_APP, or `app` under [tool.pollflow] in
                        pyproject.toml)
  --project DIR         import it from this folder"""


@dataclass(frozen=True, slots=True)
class AppName:
    """The name of an app, as `celery -A` takes it, and where it was found."""

    name: str
    origin: str

    @property
    def is_option(self) -> bool:
        """Whether the command line names the app."""
        return self.origin == "-A"

    def __str__(self) -> str:
        return f"{self.name} (from {self.origin})"


def find_app_name(option: str | None, project: Path) -> AppName | None:
    """Return the app that the option, the environment or the project names; None if there is none."""
    if option:
        return AppName(option, "-A")
    if name := os.environ.get(VARIABLE):
        return AppName(name, VARIABLE)
    if name := _named_in(project):
        return AppName(name, PYPROJECT)
    return AppName(Path(APP_FILE).stem, APP_FILE) if (project / APP_FILE).is_file() else None


def nearest_project(folder: Path) -> Path:
    """Return the folder or its nearest parent that is a project; the folder itself if there is none."""
    for candidate in (folder, *folder.parents):
        if is_project(candidate):
            return candidate
    return folder


def is_project(folder: Path) -> bool:
    """Return whether the folder has a `worker.py`, or a `pyproject.toml` that names the app."""
    return (folder / APP_FILE).is_file() or bool(_named_in(folder))


def import_app(name: AppName, project: Path) -> Attached:
    """Import the app, with the project first in `sys.path`.

    Raises RedisNotConfigured if `attach` finds no Redis, and CommandError if the app cannot be imported or was not
    attached.
    """
    from pollflow.runtime.attached import attached_to

    search_path.restore()
    if sys.path[:1] != [str(project)]:
        sys.path.insert(0, str(project))
    found = _found(name, project)
    try:
        return attached_to(found)
    except InvalidArgument:
        # `attach` may be called in a module that the app includes.
        import_included(found, name)
    try:
        return attached_to(found)
    except InvalidArgument as error:
        raise CommandError(
            f"the Celery app {name} in {project} runs no flows: it was not attached; "
            "call pollflow.attach(app) where the app is made"
        ) from error


def import_included(app: Any, name: AppName) -> None:
    """Import the modules that a worker of the app imports. Raises CommandError if that fails."""
    try:
        app.loader.import_default_modules()
    except (Exception, SystemExit) as error:  # the modules of users may raise anything
        raise CommandError(f"a module of the Celery app {name} cannot be imported: {_text(error)}") from error


def read_app(name: AppName, project: Path) -> Attached:
    """Return the app with the functions of all its modules, for commands that connect to no server."""
    try:
        app = import_app(name, project)
    except RedisNotConfigured:
        app = _import_with_any_redis(name, project)
    import_included(app.app, name)
    return app


def _import_with_any_redis(name: AppName, project: Path) -> Attached:
    """Import an app that needs a Redis to be attached. Nothing connects to it."""
    os.environ[STATE_VARIABLE] = "redis://127.0.0.1:6379/0"
    try:
        return import_app(name, project)
    finally:
        del os.environ[STATE_VARIABLE]


class _ModuleError(Exception):
    """The import of a module raised an exception. Celery would replace a ValueError by another one."""


def _found(name: AppName, project: Path) -> Any:
    from celery import Celery
    from celery.app.utils import find_app

    try:
        found = find_app(name.name, imp=_import)
    except (Exception, SystemExit) as error:
        cause = error.__cause__ if isinstance(error, _ModuleError) and error.__cause__ else error
        if isinstance(cause, RedisNotConfigured):
            raise cause from None
        raise CommandError(
            f"the Celery app {name} cannot be imported in {project}: {_text(cause)}\n{REMEDIES}"
        ) from error
    if not isinstance(found, Celery):
        raise CommandError(f"{name} in {project} is of type {type(found).__name__}, not a Celery app\n{REMEDIES}")
    return found


def _import(module: str, package: str | None = None) -> Any:
    try:
        return importlib.import_module(module, package)
    except (ImportError, AttributeError):
        raise  # Celery then tries other readings of the name
    except Exception as error:
        raise _ModuleError from error


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _named_in(folder: Path) -> str | None:
    """Return `app` under [tool.pollflow] of the folder's pyproject.toml."""
    path = folder / PYPROJECT
    if not path.is_file():
        return None
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        settings = tomllib.loads(path.read_text("utf-8")).get("tool", {}).get("pollflow", {})
    except (ValueError, OSError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    name = settings.get("app") if isinstance(settings, dict) else settings
    if name is not None and not (isinstance(name, str) and name):
        raise CommandError(
            f'{path}: `app` under [tool.pollflow] must be a text such as "proj.celery:app", not {name!r}'
        )
    return name
