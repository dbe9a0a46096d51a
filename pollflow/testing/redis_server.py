"""The Redis of runs in virtual time.

It is an embedded server in a folder of its own, started at the first run. All test processes of a user share it, and
the last of them shuts it down. If no server is installed, fakeredis replaces it.
"""

from __future__ import annotations

import atexit
import os
import threading
from contextlib import ExitStack
from importlib.util import find_spec

from pollflow.errors import ConfigurationError
from pollflow.server import ProjectServer, ServerBinary, find_server, private
from pollflow.server.binary import OVERRIDE
from pollflow.server.folders import temporary_folder
from pollflow.store import Connection, connect

_REMEDY = """
Flow tests use the third one only with `pollflow test --redis`. They also run without a server:
  - pip install 'pollflow[testing]'            fakeredis, which is slower"""


class RedisServer:
    """Starts the server at the first use, once per process. Safe for threads and forked children."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._client: Connection | None = None
        self._pid = 0

    def client(self) -> Connection:
        """Return a client of the server.

        Raises ConfigurationError if neither a server nor fakeredis is installed, StoreUnavailable if the server does
        not start.
        """
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def close(self) -> None:
        """Shut the server down, unless another process uses it. The next use starts it again."""
        with self._lock:
            # A forked child leaves the server to its parent.
            if self._client is not None and self._pid == os.getpid():
                self._client = None
                atexit.unregister(self.close)
                self._stack.close()

    def _open(self) -> Connection:
        self._pid = os.getpid()
        atexit.register(self.close)
        try:
            binary = find_server()
        except ConfigurationError as error:
            if os.environ.get(OVERRIDE):
                raise
            return _fake_client(error)
        return self._open_server(binary)

    def _open_server(self, binary: ServerBinary) -> Connection:
        folder = temporary_folder() / "tests"
        private.make_folder(folder)
        server = self._stack.enter_context(ProjectServer(folder, binary, keeps_data=False))
        client = connect(server.url)
        self._stack.callback(client.close)
        return client


def _fake_client(missing: ConfigurationError) -> Connection:
    # Without lupa, fakeredis runs no scripts.
    if find_spec("fakeredis") is None or find_spec("lupa") is None:
        raise ConfigurationError(f"{missing}{_REMEDY}") from missing
    import fakeredis  # not at the top: it is optional

    return fakeredis.FakeRedis(decode_responses=True)


REDIS_SERVER = RedisServer()
