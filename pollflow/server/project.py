"""The one server of a project, shared by all commands that run in it at the same time.

Every command holds a shared lock while it uses the server; coming and going happen one at a time. Who goes last
gets the lock alone, and shuts the server down. A command that is killed holds nothing any more: the server that it
leaves behind is joined, and ended, by the next.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType

from pollflow.server.binary import ServerBinary
from pollflow.server.embedded import EmbeddedServer
from pollflow.server.locks import FileLock, alone

FOLDER = ".pollflow"
DATA = "redis"
USERS = "users.lock"
COMING_AND_GOING = "change.lock"


class ProjectServer:
    """The server of a project's folder, for the length of a `with`.

    `url` serves as pollflow's state and as Celery's broker; `joined` tells whether another command, alive or
    killed, had started the server. Without `keeps_data` a server that starts is empty. Entering raises what
    `EmbeddedServer.start` and `join` raise.
    """

    def __init__(self, project_dir: Path, binary: ServerBinary | None = None, *, keeps_data: bool = True) -> None:
        self.folder = project_dir.absolute() / FOLDER
        self.joined = False
        self._keeps_data = keeps_data
        self._server = EmbeddedServer(self.folder / DATA, binary)
        self._users: FileLock | None = None

    @property
    def url(self) -> str:
        """The server's URL; it holds a password, and another one at each start of the server."""
        return self._server.url

    def __enter__(self) -> ProjectServer:
        self._make_folder()
        with alone(self.folder / COMING_AND_GOING):
            users = FileLock(self.folder / USERS)
            try:
                users.share()
                self.joined = self._server.join()
                if not self.joined:
                    if not self._keeps_data:
                        shutil.rmtree(self._server.folder, ignore_errors=True)
                    self._server.start()
            except BaseException:
                users.release()
                raise
            self._users = users
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        users, self._users = self._users, None
        if users is None:
            return
        with alone(self.folder / COMING_AND_GOING):
            try:
                if users.try_take():
                    self._server.stop()
                else:
                    self._server.leave()
            finally:
                users.release()

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        (self.folder / ".gitignore").write_text("*\n")
