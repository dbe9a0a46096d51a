"""Real servers for tests: the embedded one, or with POLLFLOW_TEST_SERVER=redis-server another that is installed."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from redis import Redis

from pollflow.server import EmbeddedServer

CHOICE = "POLLFLOW_TEST_SERVER"


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
        """End it with SIGKILL; it has lost at most what no client was told."""
        os.kill(self._server.pid, signal.SIGKILL)
        self._server.wait()

    def start(self) -> None:
        """Start it again on what its append-only file holds."""
        self._server.start()

    def restart(self) -> None:
        """Stop and start it; all connections break, no data is lost."""
        self.stop()
        self.start()

    def lose_everything(self) -> None:
        """Empty it, as a Redis without an append-only file would be after a restart."""
        with Redis.from_url(self.url) as client:
            client.flushall()
