"""The server of a project, shared by all commands that run in the project at the same time.

Each command has a shared lock while it uses the server. Commands enter and leave one at a time. The last command
acquires the exclusive lock and stops the server. The kernel releases the lock of a killed command; the next command
joins the server that was left running, and stops it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType

from pollflow.server.binary import ServerBinary
from pollflow.server.embedded import EmbeddedServer
from pollflow.server.folders import FOLDER, private_folder
from pollflow.server.locks import FileLock

DATA = "redis"
USERS = "users.lock"
CHANGES = "change.lock"


class ProjectServer:
    """The server of a project's folder, as a context manager.

    `url` is for the state of pollflow and the broker of Celery. `joined` is true if another command had started the
    server. Without `keeps_data` a new server starts empty. Entering raises the exceptions of `EmbeddedServer.start`
    and `join`.
    """

    def __init__(self, project_dir: Path, binary: ServerBinary | None = None, *, keeps_data: bool = True) -> None:
        self._project = project_dir.absolute()
        self.folder = self._project / FOLDER
        self.joined = False
        self._keeps_data = keeps_data
        self._server = EmbeddedServer(self.folder / DATA, binary)
        self._users: FileLock | None = None
        self._changes: FileLock | None = None

    @property
    def url(self) -> str:
        """The URL of the server. It contains a password, which changes at each start of the server."""
        return self._server.url

    def is_running(self) -> bool:
        """Return whether a command has started the server. Raises ConfigurationError as entering does."""
        if not os.path.lexists(self.folder):
            return False
        private_folder(self._project)
        changes = FileLock(self.folder / CHANGES)
        try:
            with changes.exclusive():
                return self._server.is_alive()
        finally:
            changes.close()

    def __enter__(self) -> ProjectServer:
        private_folder(self._project)
        changes = FileLock(self.folder / CHANGES)
        try:
            with changes.exclusive():
                self._users = self._enter()
        except BaseException:
            changes.close()
            raise
        # Both locks stay open, since the folder may be moved or deleted before the exit.
        self._changes = changes
        return self

    def _enter(self) -> FileLock:
        users = FileLock(self.folder / USERS)
        try:
            users.acquire_shared()
            self.joined = self._server.join()
            if not self.joined:
                if not self._keeps_data:
                    shutil.rmtree(self._server.folder, ignore_errors=True)
                self._server.start()
        except BaseException:
            users.release()
            raise
        return users

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        users, changes = self._users, self._changes
        self._users = self._changes = None
        if users is None or changes is None:
            return
        with changes.exclusive():
            try:
                if users.try_acquire():
                    self._server.stop()
                else:
                    self._server.leave()
            finally:
                users.release()
        changes.close()
