"""The folders of pollflow: `.pollflow` in a project, and one for each user in the folder for temporary files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pollflow.errors import ConfigurationError
from pollflow.server import private

FOLDER = ".pollflow"
"""It has the data of the embedded server and the logs of workers."""


def private_folder(project: Path) -> Path:
    """Return the folder of a project. Create it if needed, readable by its owner only and ignored by git.

    Raises ConfigurationError if it is a link or belongs to another user, or if something in it does.
    """
    folder = project / FOLDER
    private.make_folder(folder)
    private.make_contents_private(folder)
    with suppress(FileExistsError), open(folder / ".gitignore", "x", opener=private.opener) as file:
        file.write("*\n")
    return folder


def temporary_folder(parent: str | None = None) -> Path:
    """Return the user's folder in the one for temporary files, `pollflow-UID`. Create it if needed.

    Raises ConfigurationError if another user owns it, or could replace it.
    """
    return _closed(Path(parent or tempfile.gettempdir()).resolve() / f"pollflow-{os.getuid()}")


def runtime_folders() -> Iterator[Path]:
    """Yield the user's folders for sockets: in XDG_RUNTIME_DIR if that is private, and where paths are short enough."""
    named = Path(os.environ.get("XDG_RUNTIME_DIR") or "/")
    if named.is_absolute() and named.is_dir() and private.is_closed(named.resolve()):
        with suppress(OSError):  # it is read-only
            yield _closed(named.resolve() / "pollflow")
    yield temporary_folder()
    with suppress(OSError):  # there is none
        yield temporary_folder("/tmp")  # noqa: S108 - a folder of the user in it, which is checked


def _closed(folder: Path) -> Path:
    try:
        private.make_folder(folder)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error}; or set TMPDIR to a folder of your own") from error
    if not private.is_closed(folder):
        raise ConfigurationError(f"other users can replace {folder}; set TMPDIR to a folder of your own")
    return folder
