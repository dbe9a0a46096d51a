"""What was written stands in the append-only file, or it is not acknowledged: `WAITAOF`.

It answers for what its own connection has written, so it goes in one pipeline with the script. A script that finds its
work done, by an earlier call or one whose reply was lost, writes nothing; so a mark is written beside it, and the
append-only file, which has one order, has all that stands before the mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError, ResponseError

from pollflow.errors import NotDurable
from pollflow.store.connection import Connection, unavailable

WAIT_SECONDS = 10.0
"""Redis syncs its append-only file each second by default; shorter than a connection waits for a reply."""

_UNKNOWN = "the server does not know WAITAOF (Redis 7.2 and later, and Valkey, do)"


class Durability:
    """Runs scripts and waits until the append-only file has what they wrote."""

    def __init__(self, client: Connection, mark: str, seconds: float = WAIT_SECONDS) -> None:
        self._client = client
        self._mark = mark
        self._milliseconds = int(seconds * 1000)
        self._is_known = False

    def check(self) -> None:
        """Raises NotDurable if the server can acknowledge nothing, before anything is written; asks once."""
        if self._is_known:
            return
        try:
            self._client.execute_command("WAITAOF", 1, 0, 1)
        except ResponseError as error:
            raise NotDurable(f"nothing was written: {_reason(error)}") from error
        except RedisError as error:
            raise unavailable(error) from error
        self._is_known = True

    def run(self, script: Any, keys: Sequence[str], args: Sequence[str | bytes]) -> tuple[Any, NotDurable | None]:
        """The script's reply, and what is to be said if the append-only file has not acknowledged it."""
        self.check()
        try:
            with self._client.pipeline(transaction=False) as pipe:
                script(keys=keys, args=args, client=pipe)
                pipe.set(self._mark, "1", px=60_000)
                pipe.execute_command("WAITAOF", 1, 0, self._milliseconds)
                reply, marked, acknowledged = pipe.execute(raise_on_error=False)
        except RedisError as error:
            raise unavailable(error) from error
        if isinstance(reply, RedisError):
            raise unavailable(reply) from reply
        problem = next((error for error in (marked, acknowledged) if isinstance(error, RedisError)), None)
        if problem is not None:
            return reply, NotDurable(f"it is written, and may be lost: {_reason(problem)}")
        if int(acknowledged[0]) < 1:
            return reply, NotDurable(
                f"it is written, and may be lost: the append-only file has not acknowledged it within "
                f"{self._milliseconds / 1000:g} s; asking again settles it"
            )
        return reply, None


def _reason(error: RedisError) -> str:
    text = str(error)
    if "unknown command" in text.lower():
        return _UNKNOWN
    if "appendonly" in text:
        return "the server keeps no append-only file (appendonly is no)"
    return text
