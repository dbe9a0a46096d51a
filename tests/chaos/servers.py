"""The Redis under test. It can be killed, restarted, frozen and truncated, and its slow log is kept."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from pollflow.errors import StoreUnavailable
from pollflow.store.scripts import source
from tests.servers import TcpServer

SLOW_MS = 10
_PRIORITY = -15


@dataclass(frozen=True, slots=True)
class Slow:
    """An entry of the slow log."""

    at: float
    ms: float
    command: str

    @property
    def script(self) -> str | None:
        """Return the name of the pollflow script, or None for any other command."""
        name, _, rest = self.command.partition(" ")
        return _script_names().get(rest.partition(" ")[0]) if name.upper() == "EVALSHA" else None


@cache
def _script_names() -> dict[str, str]:
    names = (file.name.removesuffix(".lua") for file in (files("pollflow.store") / "lua").iterdir())
    return {hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest(): name for name in names}


class ChaosServer:
    """A server whose URL stays the same when it is restarted."""

    def __init__(self, folder: Path, appendfsync: str = "always") -> None:
        self._server = TcpServer(folder)
        self._appendfsync = appendfsync
        self._slow: dict[tuple[int, int, int], Slow] = {}
        self._starts = 0
        self._lock = threading.Lock()
        self._sizes: deque[tuple[float, int]] = deque(maxlen=100)
        self.pid = 0

    @property
    def url(self) -> str:
        """Return the URL with the password."""
        return self._server.url

    def client(self, timeout: float = 5) -> Any:
        """Return a client that does not retry."""
        return Redis.from_url(
            self.url,
            decode_responses=True,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )

    def start(self) -> None:
        """Start the server on its append-only file."""
        self._server.start()
        self.pid = self._server.pid
        with suppress(OSError):
            # On a busy machine the slow log would otherwise include the time that the server waits for a CPU.
            # Only root may raise the priority.
            os.setpriority(os.PRIO_PROCESS, self.pid, _PRIORITY)
        self._starts += 1
        with self.client() as client:
            client.config_set("appendfsync", self._appendfsync)
            client.config_set("slowlog-log-slower-than", SLOW_MS * 1000)
            client.config_set("slowlog-max-len", 1000)
            if self.may_lose:
                # Without rewrites, a truncation always cuts the end of one file.
                client.config_set("auto-aof-rewrite-percentage", 0)

    @property
    def may_lose(self) -> bool:
        """Whether a crash may lose the last second, as a crash of the machine does with `appendfsync everysec`."""
        return self._appendfsync == "everysec"

    def measure(self) -> None:
        """Record the length of the append-only file, for a later `lose`."""
        with suppress(OSError, ValueError):
            self._sizes.append((time.time(), self._file().stat().st_size))

    def lose(self, seconds: float) -> float | None:
        """Truncate the writes of the last seconds. Return the time from which they are lost, or None."""
        before = [(at, size) for at, size in self._sizes if at <= time.time() - seconds]
        self._sizes.clear()
        if not before:
            return None
        os.truncate(self._file(), before[-1][1])
        return before[-1][0]

    def _file(self) -> Path:
        return max((self._server.folder / "appendonlydir").glob("*.incr.aof"))

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._server.wait()
        self.pid = 0

    def freeze(self) -> None:
        """Freeze the server with SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue a frozen server."""
        if self.pid:
            os.kill(self.pid, signal.SIGCONT)

    def is_alive(self) -> bool:
        """Return whether the process is alive."""
        return self._server.is_alive()

    def watch(self) -> None:
        """Copy the new entries of the slow log, which a restart deletes."""
        with self._lock, suppress(RedisError, StoreUnavailable), self.client(timeout=2) as client:
            for entry in client.slowlog_get(1000):
                command = entry["command"]
                text = command if isinstance(command, str) else bytes(command).decode(errors="replace")
                key = (self._starts, int(entry["id"]), int(entry["start_time"]))
                self._slow[key] = Slow(float(entry["start_time"]), entry["duration"] / 1000, text[:200])

    def slow_log(self) -> list[Slow]:
        """Return all slow commands so far."""
        with self._lock:
            return sorted(self._slow.values(), key=lambda slow: slow.at)
