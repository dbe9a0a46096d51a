"""Real servers for tests: the embedded one, or with POLLFLOW_TEST_SERVER=redis-server another that is installed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from redis import Redis

from pollflow.server import EmbeddedServer, embedded

CHOICE = "POLLFLOW_TEST_SERVER"
_COMMANDS_BETWEEN_LOOKS = 1024


def choose_server() -> None:
    """Make the commands that tests start, too, use the server that POLLFLOW_TEST_SERVER names."""
    if os.environ.get(CHOICE):
        os.environ["POLLFLOW_SERVER"] = os.environ[CHOICE]


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """A running server with its append-only file; its URL stays the same when it is stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server = EmbeddedServer(folder)
        self._server.start()
        self.url = self._server.url

    def stop(self) -> None:
        """Shut it down in good order."""
        self._server.stop()

    def kill(self) -> None:
        """End it with SIGKILL; it loses at most writes that were not acknowledged."""
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.wait()

    def start(self) -> None:
        """Start it again on what its append-only file holds."""
        self._server.start()

    @contextmanager
    def killed_and_loading(self, seconds: int) -> Iterator[None]:
        """Kill it and start it again; for so long it reads its append-only file and answers nothing but LOADING.

        While it reads, it looks at its connections every 1,024 commands: so many are what it reads in a fifth second.
        """
        with Redis.from_url(self.url) as client, client.pipeline(transaction=False) as pipe:
            for _ in range(5 * _COMMANDS_BETWEEN_LOOKS * seconds):
                pipe.incr("test:to-load")
            pipe.execute()
        self.kill()
        slow = f"{embedded.CONFIGURATION}key-load-delay {200_000 // _COMMANDS_BETWEEN_LOOKS}\n"
        with patch.object(embedded, "CONFIGURATION", slow), ThreadPoolExecutor(1) as pool:
            started = pool.submit(self.start)
            yield
            started.result()

    def restart(self) -> None:
        """Stop and start it; all connections break, no data is lost."""
        self.stop()
        self.start()

    def lose_everything(self) -> None:
        """Empty it, as a Redis without an append-only file would be after a restart."""
        with Redis.from_url(self.url) as client:
            client.flushall()
