"""Redis servers for tests: the embedded one, or the installed one with POLLFLOW_TEST_SERVER=redis-server."""

from __future__ import annotations

import os
import random
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError
from redis.retry import Retry

from pollflow.server import EmbeddedServer
from pollflow.server.embedded import ServerAddress
from pollflow.store import RedisLocation
from tests.processes import wait_until

CHOICE = "POLLFLOW_TEST_SERVER"
_COMMANDS_PER_EVENT_LOOP = 1024


def choose_server() -> None:
    """Use the server that POLLFLOW_TEST_SERVER names, also in commands that tests start."""
    if os.environ.get(CHOICE):
        os.environ["POLLFLOW_SERVER"] = os.environ[CHOICE]


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _port_of_no_client() -> int:
    """Return a free port below the range of outgoing connections: a reconnecting worker could occupy one of those."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class TcpServer(EmbeddedServer):
    """An embedded server that also listens on a port of 127.0.0.1, as the Redis of a deployment does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._port = _port_of_no_client()
        self.directives = ""

    @property
    def url(self) -> str:
        """The URL of the port."""
        return f"redis://:{RedisLocation.parse(super().url).password}@127.0.0.1:{self._port}/0"

    def _configuration(self, address: ServerAddress) -> bytes:
        return super()._configuration(address) + f"bind 127.0.0.1\nport {self._port}\n{self.directives}".encode()


class RedisServer:
    """A server with an append-only file. Its URL stays the same when it is restarted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server = TcpServer(folder)
        self._server.start()
        self.url = self._server.url

    def stop(self) -> None:
        """Shut the server down cleanly."""
        self._server.stop()

    def kill(self) -> None:
        """End the server with SIGKILL. Only unacknowledged writes may be lost."""
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.wait()

    def start(self) -> None:
        """Start the server on its append-only file."""
        self._server.start()

    @contextmanager
    def killed_and_loading(self, seconds: int) -> Iterator[None]:
        """Kill and restart the server, and make it reply LOADING for about `seconds`.

        While it loads, it serves its connections every 1,024 commands. The delay per command is chosen so that it
        loads that many in 0.2 s.
        """
        with Redis.from_url(self.url) as client, client.pipeline(transaction=False) as pipe:
            for _ in range(5 * _COMMANDS_PER_EVENT_LOOP * seconds):
                pipe.incr("test:to-load")
            pipe.execute()
        self.kill()
        self._server.directives = f"key-load-delay {200_000 // _COMMANDS_PER_EVENT_LOOP}\n"
        with ThreadPoolExecutor(1) as pool:
            started = pool.submit(self.start)
            wait_until(self._is_loading, "start of the loading")
            yield
            started.result()
        self._server.directives = ""

    def _is_loading(self) -> bool:
        with Redis.from_url(self.url, retry=Retry(NoBackoff(), 0)) as client:
            try:
                client.ping()
            except BusyLoadingError:
                return True
            except ConnectionError:
                return False
        raise AssertionError("the server has loaded its data already")

    def restart(self) -> None:
        """Restart the server. All connections break; no data is lost."""
        self.stop()
        self.start()

    def lose_everything(self) -> None:
        """Delete all data, as the restart of a Redis without an append-only file does."""
        with Redis.from_url(self.url) as client:
            client.flushall()
