"""A private server with its data in one folder: start it, join a running one, stop it.

The server listens on a unix socket in a folder that other users can neither enter nor replace, and nowhere else. So no
other process can take the address of the server, receive the data of its clients, or connect to it. It also requires a
random password, for file systems that ignore the modes of files.

The server process owns the lock of its folder. The lock, not a pid file, shows whether a server is running, and two
servers never write the same append-only file.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from pollflow.errors import ConfigurationError, StoreUnavailable
from pollflow.server import private
from pollflow.server.binary import REMEDIES, ServerBinary, find_server
from pollflow.server.locks import FileLock
from pollflow.server.sockets import choose_socket

LOCK = "server.lock"
ADDRESS = "server.json"
LOG = "server.log"

# Loading an append-only file takes about 10 s per gigabyte.
START_TIMEOUT_SECONDS = 60.0
# The last flush and fsync take time on a slow disk.
STOP_TIMEOUT_SECONDS = 30.0
LOG_TAIL_LINES = 12

# No snapshots: the append-only file is the data. No eviction: an evicted key would lose part of an execution.
CONFIGURATION = """\
port 0
unixsocket "{socket}"
unixsocketperm 600
requirepass {password}
daemonize no
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""

# Servers that other commands still use. Python would warn about deleted Popen objects of running processes.
_left_running: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The path of the socket and the password of a server."""

    socket: Path
    password: str

    @property
    def url(self) -> str:
        """The URL with the password, as redis-py writes it. It has another form for Celery: `store/urls.py`."""
        return f"unix://:{self.password}@{quote(str(self.socket))}?db=0"

    def written(self, folder: Path) -> str:
        """Return the address as the text of the file in the folder. A socket in the folder moves with it."""
        socket = self.socket.name if self.socket.parent == folder.resolve() else str(self.socket)
        return json.dumps({"socket": socket, "password": self.password})

    @classmethod
    def read(cls, text: bytes, folder: Path) -> ServerAddress:
        """Return the address that `written` wrote. Raises an error of `json`, KeyError or TypeError for other texts."""
        fields = json.loads(text)
        return cls(folder.resolve() / fields["socket"], fields["password"])


class EmbeddedServer:
    """The server of one folder. The data outlives the server. Its address is the same for the life of this object.

    While the server is used, its lock and a connection are kept open, so that it can be stopped when its folder was
    moved or deleted.
    """

    def __init__(self, folder: Path, binary: ServerBinary | None = None) -> None:
        self.folder = folder.absolute()
        self._binary = binary
        self._address: ServerAddress | None = None
        self._client: Redis | None = None
        self._lock: FileLock | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the server. Raises StoreUnavailable before `start` or `join`."""
        if self._address is None:
            raise StoreUnavailable("the embedded server is not started")
        return self._address.url

    @property
    def pid(self) -> int:
        """The process id that the server reports."""
        try:
            return int(self._known_client().info("server")["process_id"])
        except RedisError as error:
            raise StoreUnavailable(f"the embedded server does not answer: {error}") from error

    def start(self) -> None:
        """Start the server and wait until it serves.

        Raises ConfigurationError if no server is installed or it cannot be executed, or for a folder of another user.
        Raises StoreUnavailable, with the end of the log, if it does not start, or if a server is already running in the
        folder.
        """
        binary = self._binary or find_server()
        private.make_folder(self.folder)
        lock = FileLock(self.folder / LOCK)
        try:
            if not lock.try_acquire():
                raise StoreUnavailable(f"a server is already running in {self.folder}")
            address = self._address or ServerAddress(choose_socket(self.folder), secrets.token_hex(16))
            self._use(address)
            self._start(binary, address, lock)
        finally:
            lock.close()  # not released: the server process inherited it
        self._lock = FileLock(self.folder / LOCK)

    def join(self) -> bool:
        """Use the running server of the folder, whichever process started it. Return False if there is none.

        Raises StoreUnavailable if the server does not answer, ConfigurationError if other users could replace it.
        """
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while self.is_alive():
            address = self._stored_address()
            if address is not None:
                self._use(address)
                if self._serves():
                    self._lock = FileLock(self.folder / LOCK)
                    return True
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"the server in {self.folder} does not answer; stop its process and retry")
            time.sleep(0.02)
        self._address = None
        return False

    def stop(self) -> None:
        """Shut the server down, so that its append-only file is complete, and wait until it has ended."""
        if self.is_alive():
            self._follow_restart()
            try:
                self._known_client().shutdown()
            except RedisError as error:
                raise StoreUnavailable(f"the embedded server refused to shut down: {error}") from error
        self.wait()

    def wait(self) -> None:
        """Wait until the server process has ended after a shutdown or a kill."""
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while self.is_alive():
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"the server in {self.folder} does not stop; its log is {self.folder / LOG}")
            time.sleep(0.01)
        if self._process is not None:
            self._process.wait()
            self._process = None
        self._close()

    def is_alive(self) -> bool:
        """Return whether a server is running in the folder, whichever process started it."""
        if self._lock is not None:
            return not self._lock.is_free()
        if not self.folder.is_dir():
            return False
        private.make_folder(self.folder)
        lock = FileLock(self.folder / LOCK)
        try:
            return not lock.is_free()
        finally:
            lock.close()

    def leave(self) -> None:
        """Leave the server running for other commands."""
        if self._process is not None:
            _left_running.append(self._process)
            self._process = None
        self._close()

    def _start(self, binary: ServerBinary, address: ServerAddress, lock: FileLock) -> None:
        self._store_address(address)
        self._process = self._spawn(binary, self._configuration(address), lock)
        if not self._wait_until_it_serves(self._process):
            raise StoreUnavailable(
                f"the embedded server ({binary.path}) did not start; the end of its log:\n{self._log_tail()}"
            )

    def _configuration(self, address: ServerAddress) -> bytes:
        path = str(address.socket).replace("\\", "\\\\").replace('"', '\\"')
        return os.fsencode(CONFIGURATION.format(socket=path, password=address.password))

    def _spawn(self, binary: ServerBinary, text: bytes, lock: FileLock) -> subprocess.Popen[bytes]:
        # The configuration goes to standard input, so that the password is in no process list and no file.
        with (
            tempfile.TemporaryFile() as configuration,
            open(self.folder / LOG, "wb", opener=private.opener) as log,
        ):
            configuration.write(text)
            configuration.seek(0)
            try:
                return subprocess.Popen(  # noqa: S603 - the binary that find_server chose
                    [binary.path.absolute(), "-"],
                    stdin=configuration,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(lock.fileno(),),
                    # Ctrl-C in the terminal reaches only the command, which then stops the server.
                    start_new_session=True,
                    cwd=self.folder,
                    umask=0o077,
                    # The server does not start with a locale that the machine lacks.
                    env={**os.environ, "LC_ALL": "C"},
                )
            except OSError as error:
                raise ConfigurationError(f"{binary.path} cannot be run: {error.strerror}; {REMEDIES}") from error

    def _wait_until_it_serves(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return False
            if self._serves():
                return True
            time.sleep(0.01)
        process.terminate()
        process.wait()
        return False

    def _serves(self) -> bool:
        try:
            return bool(self._known_client().ping())
        except RedisError:
            return False

    def _use(self, address: ServerAddress) -> None:
        if address != self._address or self._client is None:
            self._close()
            self._address = address
            self._client = Redis(
                unix_socket_path=str(address.socket),
                password=address.password,
                socket_timeout=5,
                retry=Retry(NoBackoff(), 0),
            )

    def _known_client(self) -> Redis:
        if self._client is None:
            raise StoreUnavailable("the embedded server is not started")
        return self._client

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _follow_restart(self) -> None:
        """Use the address of the server that another command has started here after a crash of the one known so far."""
        # Without a folder, or with an address that others could replace, the known one is used.
        with suppress(FileNotFoundError, ConfigurationError):
            here = (self.folder / LOCK).stat()
            if self._lock is not None and os.path.samestat(os.fstat(self._lock.fileno()), here):
                address = self._stored_address()
                if address is not None:
                    self._use(address)

    def _stored_address(self) -> ServerAddress | None:
        """Return the address that the server's command has stored. Raises ConfigurationError if it is not private."""
        try:
            with open(self.folder / ADDRESS, "rb", opener=private.opener) as file:
                address = ServerAddress.read(file.read(), self.folder)
            is_closed = private.is_closed(address.socket.parent)
        except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError):
            return None  # not written yet, or by an earlier release
        if not is_closed:
            raise ConfigurationError(
                f"other users can replace {address.socket}, so pollflow does not connect to it; stop the server in "
                f"{self.folder} and retry"
            )
        return address

    def _store_address(self, address: ServerAddress) -> None:
        unfinished = self.folder / f"{ADDRESS}.new"
        # Another user may still have an existing file open, from before it became private.
        unfinished.unlink(missing_ok=True)
        with open(unfinished, "x", opener=private.opener) as file:
            file.write(address.written(self.folder))
        unfinished.replace(self.folder / ADDRESS)

    def _log_tail(self) -> str:
        with open(self.folder / LOG, errors="replace", opener=private.opener) as log:
            return "\n".join(log.read().splitlines()[-LOG_TAIL_LINES:])
