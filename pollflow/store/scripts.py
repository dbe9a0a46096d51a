"""Loads `lua/*.lua`, with the prelude in front of each. What a script takes and answers stands at its top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

from redis.exceptions import RedisError

from pollflow.errors import NotDurable
from pollflow.store.clock import Clock
from pollflow.store.connection import Connection, unavailable
from pollflow.store.durability import Durability
from pollflow.store.retrying import with_retry

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
        with translated():
            return self._script(name)(keys=keys, args=[self._clock.argument(), *args])

    def run_with_retry(self, name: str, keys: Sequence[str], args: Sequence[Argument], seconds: float) -> Any:
        """As `run`, the same arguments again and again while Redis cannot serve, for so long."""
        return with_retry(lambda: self.run(name, keys, args), seconds)

    def run_durably(
        self, name: str, keys: Sequence[str], args: Sequence[Argument], seconds: float, durability: Durability
    ) -> tuple[Any, NotDurable | None]:
        """As `run_with_retry`, and waits for the append-only file; what is to be said if it does not acknowledge."""
        timed = [self._clock.argument(), *args]
        return with_retry(lambda: durability.run(self._script(name), keys, timed), seconds)

    def _script(self, name: str) -> Any:
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self._client.register_script(source(name))
        return script


@contextmanager
def translated() -> Iterator[None]:
    """Errors of Redis leave the store as StoreUnavailable."""
    try:
        yield
    except RedisError as error:
        raise unavailable(error) from error
