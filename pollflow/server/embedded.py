"""A private server on one folder: started, joined, shut down.

It listens on 127.0.0.1, since no single URL of a unix socket is understood by both redis-py (`unix://`) and Celery
(`redis+socket://`), and asks for a random password, since other users of the machine can reach that port.

The server process holds the lock of its folder. So whether one lives there is never guessed from a pid file, and two
never write one append-only file.
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
from pollflow.server.binary import WAYS_OUT, ServerBinary, find_server
from pollflow.server.locks import FileLock

LOCK = "server.lock"
ADDRESS = "server.json"
LOG = "server.log"

# A large append-only file takes its time to load: about 10 s a gigabyte.
START_TIMEOUT_SECONDS = 60.0
# The last flush and fsync; a slow disk is given time rather than a SIGKILL.
STOP_TIMEOUT_SECONDS = 30.0
# Somebody else may take the port between its choice and the server's start.
PORT_ATTEMPTS = 5
LOG_TAIL_LINES = 12

# No snapshots: the append-only file is the data. No eviction: what is stored is the truth.
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

# Servers that others go on using; kept, so that they are not taken for forgotten children.
_left_running: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True, slots=True)
class MessageKey:
    """Where a server listens, and the password it asks for."""

    port: int
    password: str

    @property
    def url(self) -> str:
        """The URL, password included, as redis-py and Celery read it."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


class EmbeddedServer:
    """The server of one folder. Its data outlives it; its address stays the same while this object lives."""

    def __init__(self, folder: Path, binary: ServerBinary | None = None) -> None:
        self.folder = folder.absolute()
        self._binary = binary
        self._address: MessageKey | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's URL; StoreUnavailable before it was started or joined."""
        return self._known_address().url

    @property
    def pid(self) -> int:
        """The process id of the server, asked from itself."""
        with self._client() as client:
            try:
                return int(client.info("server")["process_id"])
            except RedisError as error:
                raise StoreUnavailable(f"The embedded server does not answer: {error}") from error

    def start(self) -> None:
        """Start the server and wait until it serves.

        Raises ConfigurationError where no server is installed or it cannot be executed; StoreUnavailable, with the
        end of its log, where it does not come up, and where a server runs on the folder already.
        """
        binary = self._binary or find_server()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(self.folder / LOCK)
        try:
            if not lock.try_take():
                raise StoreUnavailable(f"A server runs already on {self.folder}.")
            self._start_on_a_free_port(binary, lock)
        finally:
            lock.close()  # closed, not released: from here on the server holds it

    def join(self) -> bool:
        """Use the server that lives on the folder, whoever started it; False if there is none.

        Raises StoreUnavailable if one lives there and does not answer.
        """
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while self.is_alive():
            self._address = self._stored_address()
            if self._address is not None and self._serves():
                return True
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"The server on {self.folder} does not answer: end its process, try again.")
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
                raise StoreUnavailable(f"The embedded server refused to shut down: {error}") from error
        self.wait()

    def wait(self) -> None:
        """Wait until the server process, told to end or killed, is gone."""
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while self.is_alive():
            if time.monotonic() > deadline:
                raise StoreUnavailable(f"The server on {self.folder} does not end; its log is {self.folder / LOG}.")
            time.sleep(0.01)
        if self._process is not None:
            self._process.wait()
            self._process = None

    def is_alive(self) -> bool:
        """Tell whether a server process, started by whomever, lives on the folder."""
        if not self.folder.is_dir():
            return False
        lock = FileLock(self.folder / LOCK)
        try:
            return not lock.try_share()
        finally:
            lock.close()

    def leave(self) -> None:
        """Let the server run on for others."""
        if self._process is not None:
            _left_running.append(self._process)
            self._process = None

    def _start_on_a_free_port(self, binary: ServerBinary, lock: FileLock) -> None:
        known = self._address
        for _ in range(PORT_ATTEMPTS):
            self._address = known or MessageKey(_free_port(), secrets.token_hex(16))
            self._store_address(self._address)
            self._process = self._spawn(binary, self._address, lock)
            if self._wait_until_it_serves(self._process):
                return
            if known or "in use" not in self._log_tail():
                break
        raise StoreUnavailable(
            f"The embedded server ({binary.path}) did not start. The end of its log:\n{self._log_tail()}"
        )

    def _spawn(self, binary: ServerBinary, address: MessageKey, lock: FileLock) -> subprocess.Popen[bytes]:
        # On standard input, so that the password is neither in the list of processes nor in one more file.
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
                    # Ctrl-C in the terminal is for the command, which then ends the server.
                    start_new_session=True,
                    cwd=self.folder,
                    umask=0o077,
                    # A locale that the machine lacks would stop the server.
                    env={**os.environ, "LC_ALL": "C"},
                )
            except OSError as error:
                raise ConfigurationError(f"{binary.path} cannot be run: {error.strerror}.\n{WAYS_OUT}") from error

    def _wait_until_it_serves(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            # Asked first: if another program has the port, what answers there is not this process.
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

    def _known_address(self) -> MessageKey:
        if self._address is None:
            raise StoreUnavailable("The embedded server was not started.")
        return self._address

    def _stored_address(self) -> MessageKey | None:
        try:
            return MessageKey(**json.loads((self.folder / ADDRESS).read_text()))
        except (OSError, ValueError, TypeError):
            return None  # not written yet, or by a command that was killed while it wrote

    def _store_address(self, address: MessageKey) -> None:
        unfinished = self.folder / f"{ADDRESS}.new"
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(asdict(address)))
        unfinished.replace(self.folder / ADDRESS)

    def _log_tail(self) -> str:
        lines = (self.folder / LOG).read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])


def _free_port() -> int:
    """Choose a port that nobody has, below those that outgoing connections are given.

    One of those could be taken while the server is away, by the very worker that tries to reach it again.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
