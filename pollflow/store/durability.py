"""Durable commits: run scripts, and wait with `WAITAOF` until the append-only file has their writes.

`WAITAOF` covers the writes of its own connection, so it is in one pipeline with the scripts. A repeated script writes
nothing, so the pipeline also writes a mark. The append-only file is ordered: if it has the mark, it has all earlier
writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from redis.exceptions import NoScriptError, RedisError

from pollflow.errors import NotDurable
from pollflow.store.connection import STORE_ERRORS, Connection, unavailable
from pollflow.store.retrying import is_not_final

WAIT_SECONDS = 10.0
"""Redis syncs its append-only file each second by default. Shorter than the socket timeout of connections."""

ScriptCall: TypeAlias = tuple[Any, Sequence[str], Sequence["str | bytes"]]
"""A script of redis-py, its keys and its arguments."""

_UNKNOWN = "the server does not know WAITAOF; use Redis 7.2 or later, or Valkey"


class Durability:
    """Runs scripts and waits until the append-only file has what they wrote."""

    def __init__(self, client: Connection, mark: str, seconds: float = WAIT_SECONDS) -> None:
        self._client = client
        self._mark = mark
        self._milliseconds = int(seconds * 1000)
        self._is_known = False

    def check(self) -> None:
        """Raise NotDurable if the server cannot acknowledge writes. Asks the server once, and writes nothing."""
        if self._is_known:
            return
        try:
            self._client.execute_command("WAITAOF", 1, 0, 1)
        except STORE_ERRORS as error:
            problem = unavailable(error)
            if is_not_final(problem):
                raise problem from error
            raise NotDurable(f"nothing was written: {_reason(error)}") from error
        self._is_known = True

    def run(self, calls: Sequence[ScriptCall]) -> tuple[list[Any], NotDurable | None]:
        """Return the scripts' replies, and an error if the append-only file has not acknowledged all their writes.

        A reply may be an error of redis-py.
        """
        self.check()
        *replies, marked, acknowledged = run_calls(self._client, calls, self._confirm)
        problem = next((error for error in (marked, acknowledged) if isinstance(error, RedisError)), None)
        if problem is not None:
            return replies, NotDurable(f"the commit is written, but may be lost: {_reason(problem)}")
        if int(acknowledged[0]) < 1:
            return replies, NotDurable(
                "the commit is written, but the append-only file has not acknowledged it within "
                f"{self._milliseconds / 1000:g} s, so it may be lost; repeat the request to be sure"
            )
        return replies, None

    def _confirm(self, pipe: Any) -> None:
        pipe.set(self._mark, "1", px=60_000)
        pipe.execute_command("WAITAOF", 1, 0, self._milliseconds)


def run_calls(
    client: Connection, calls: Sequence[ScriptCall], finish: Callable[[Any], None] | None = None
) -> list[Any]:
    """Run scripts, and the commands that `finish` adds, in one pipeline. Return the replies; each may be an error."""
    replies = _execute(client, calls, finish)
    if any(isinstance(reply, NoScriptError) for reply in replies):
        # The server has restarted since redis-py asked it for the scripts, which are now sent again. Those that have
        # run already recognize their repetition.
        replies = _execute(client, calls, finish)
    return replies


def _execute(client: Connection, calls: Sequence[ScriptCall], finish: Callable[[Any], None] | None) -> list[Any]:
    try:
        with client.pipeline(transaction=False) as pipe:
            for script, keys, args in calls:
                script(keys=keys, args=args, client=pipe)
            if finish is not None:
                finish(pipe)
            return list(pipe.execute(raise_on_error=False))
    except STORE_ERRORS as error:
        raise unavailable(error) from error


def _reason(error: Exception) -> str:
    text = str(error)
    if "unknown command" in text.lower():
        return _UNKNOWN
    if "appendonly" in text:
        return "the server has no append-only file (appendonly is no)"
    return text
