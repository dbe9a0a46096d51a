"""Loads `lua/*.lua`, with the prelude in front of each. What a script takes and answers stands at its top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

from redis.exceptions import RedisError

from pollflow.errors import StoreUnavailable
from pollflow.store.clock import Clock
from pollflow.store.connection import Connection

Argument = str | int | float


@cache
def source(name: str) -> str:
    """The text of a script, as Redis gets it."""
    folder = files("pollflow.store") / "lua"
    texts = (folder / f"{part}.lua" for part in ("prelude", name))
    return "\n".join(text.read_text("utf-8") for text in texts)


class Scripts:
    """The scripts on one connection pool, by one clock."""

    def __init__(self, client: Connection, clock: Clock) -> None:
        self._client = client
        self._registered: dict[str, Any] = {}
        self._clock = clock

    def run(self, name: str, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Runs a script; the reply is what its head says. Raises StoreUnavailable."""
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self._client.register_script(source(name))
        with translated():
            return script(keys=keys, args=[self._clock.argument(), *args])


@contextmanager
def translated() -> Iterator[None]:
    """Errors of Redis leave the store as StoreUnavailable."""
    try:
        yield
    except RedisError as error:
        raise StoreUnavailable(f"Redis cannot serve: {error}") from error
