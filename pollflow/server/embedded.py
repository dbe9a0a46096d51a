"""A private server with its data in one folder: start it, join a running one, stop it.

The server listens on 127.0.0.1, because redis-py (`unix://`) and Celery (`redis+socket://`) accept no common URL of a
unix socket. It requires a random password, because other users of the machine can reach the port.

The server process owns the lock of its folder. The lock, not a pid file, shows whether a server is running, and two
servers never write the same append-only file.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from pollflow.errors import ConfigurationError, StoreUnavailable
from pollflow.server.binary import REMEDIES, ServerBinary, find_server
from pollflow.server.locks import FileLock

LOCK = "server.lock"
ADDRESS = "server.json"
LOG = "server.log"

# Loading an append-only file takes about 10 s per gigabyte.
START_TIMEOUT_SECONDS = 60.0
# The last flush and fsync take time on a slow disk.
STOP_TIMEOUT_SECONDS = 30.0
# Another process may take the port between its choice and the start of the server.
PORT_ATTEMPTS = 5
LOG_TAIL_LINES = 12

# No snapshots: the append-only file is the data. No eviction: an evicted key would lose part of an execution.
CONFIGURATION = """\
bind 127.0.0.1
port {port}
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
    """The port and the password of a server."""

    port: int
    password: str

    @property
    def url(self) -> str:
        """The URL with the password, for redis-py and Celery."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


class EmbeddedServer:
    """The server of one folder. The data outlives the server. Its address is the same for the life of this object."""

    def __init__(self, folder: Path, binary: ServerBinary | None = None) -> None:
        self.folder = folder.absolute()
        self._binary = binary
        self._address: ServerAddress | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the server. Raises StoreUnavailable before `start` or `join`."""
        return self._known_address().url

    @property
    def pid(self) -> int:
        """The process id that the server reports."""
        with self._client() as client:
            try:
                return int(client.info("server")["process_id"])
            except RedisError as error:
                raise StoreUnavailable(f"the embedded server does not answer: {error}") from error

    def start(self) -> None:
        """Start the server and wait until it serves.

        Raises ConfigurationError if no server is installed or it cannot be executed. Raises StoreUnavailable, with the
        end of the log, if it does not start, or if a server is already running in the folder.
        """
        binary = self._binary or find_server()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(self.folder / LOCK)
        try:
            if not lock.try_acquire():
                raise StoreUnavailable(f"a server is already running in {self.folder}")
            self._start_on_a_free_port(binary, lock)
        finally:
            lock.close()  # not released: the server process inherited it

    def join(self) -> bool:
        """Use the running server of the folder, whichever process started it. Return False if there is none.

        Raises StoreUnavailable if the server does not answer.
        """
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while self.is_alive():
            self._address = self._stored_address()
            if self._address is not None and self._serves():
                return True
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"the server in {self.folder} does not answer; stop its process and retry")
            time.sleep(0.02)
        self._address = None
        return False

    def stop(self) -> None:
        """Shut the server down, so that its append-only file is complete, and wait until it has ended."""
        if self.is_alive():
            try:
                with self._client() as client:
                    client.shutdown()
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

    def is_alive(self) -> bool:
        """Return whether a server is running in the folder, whichever process started it."""
        if not self.folder.is_dir():
            return False
        lock = FileLock(self.folder / LOCK)
        try:
            return not lock.try_acquire_shared()
        finally:
            lock.close()

    def leave(self) -> None:
        """Leave the server running for other commands."""
        if self._process is not None:
            _left_running.append(self._process)
            self._process = None

    def _start_on_a_free_port(self, binary: ServerBinary, lock: FileLock) -> None:
        known = self._address
        for _ in range(PORT_ATTEMPTS):
            self._address = known or ServerAddress(_free_port(), secrets.token_hex(16))
            self._store_address(self._address)
            self._process = self._spawn(binary, self._address, lock)
            if self._wait_until_it_serves(self._process):
                return
            if known or "in use" not in self._log_tail():
                break
        raise StoreUnavailable(
            f"the embedded server ({binary.path}) did not start; the end of its log:\n{self._log_tail()}"
        )

    def _spawn(self, binary: ServerBinary, address: ServerAddress, lock: FileLock) -> subprocess.Popen[bytes]:
        # The configuration goes to standard input, so that the password is in no process list and no file.
        with tempfile.TemporaryFile() as configuration, (self.folder / LOG).open("wb") as log:
            configuration.write(CONFIGURATION.format(port=address.port, password=address.password).encode())
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
            # The process is checked first, since a reply may come from another program on the same port.
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
            with self._client() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def _client(self) -> Redis:
        address = self._known_address()
        return Redis(
            host="127.0.0.1",
            port=address.port,
            password=address.password,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),
        )

    def _known_address(self) -> ServerAddress:
        if self._address is None:
            raise StoreUnavailable("the embedded server is not started")
        return self._address

    def _stored_address(self) -> ServerAddress | None:
        try:
            return ServerAddress(**json.loads((self.folder / ADDRESS).read_text()))
        except (OSError, ValueError, TypeError):
            return None  # not written yet, or only partly, by a command that was killed

    def _store_address(self, address: ServerAddress) -> None:
        unfinished = self.folder / f"{ADDRESS}.new"
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(asdict(address)))
        unfinished.replace(self.folder / ADDRESS)

    def _log_tail(self) -> str:
        lines = (self.folder / LOG).read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])


def _free_port() -> int:
    """Return a free port below the range of outgoing connections.

    While the server restarts, a reconnecting worker could occupy a port of that range.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
