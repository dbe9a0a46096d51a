"""Loads `lua/*.lua`, each with the prelude in front, and runs them with typed arguments and replies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from pollflow.errors import NotDurable, StoreUnavailable
from pollflow.store.clock import Clock
from pollflow.store.commands import Script
from pollflow.store.connection import STORE_ERRORS, Connection, unavailable
from pollflow.store.durability import Durability
from pollflow.store.script_keys import NamedKeys
from pollflow.store.wire import decode_reply, encode_arguments, key_list

R = TypeVar("R")


@cache
def source(name: str) -> str:
    """Return the text of a script as sent to Redis: the prelude, then the script."""
    folder = files("pollflow.store") / "lua"
    texts = (folder / f"{part}.lua" for part in ("prelude", name))
    return "\n".join(text.read_text("utf-8") for text in texts)


class Scripts:
    """The scripts on one connection pool, by one clock."""

    def __init__(self, client: Connection, clock: Clock) -> None:
        self._client = client
        self._registered: dict[str, Any] = {}
        self.clock = clock

    def run(self, script: Script[R], keys: NamedKeys) -> R:
        """Run a script. Raises StoreUnavailable."""
        with translated():
            reply = self._script(script.NAME)(keys=key_list(script, keys), args=self._arguments(script))
        return decode_reply(script, reply)  # type: ignore[no-any-return]

    def run_many(self, scripts: Sequence[tuple[Script[R], NamedKeys]]) -> list[R]:
        """Run scripts in one round trip, each by itself. Raises StoreUnavailable."""
        with translated(), self._client.pipeline(transaction=False) as pipe:
            for script, keys in scripts:
                self._script(script.NAME)(keys=key_list(script, keys), args=self._arguments(script), client=pipe)
            replies = pipe.execute()
        return [decode_reply(script, reply) for (script, _), reply in zip(scripts, replies, strict=True)]

    def run_each(self, scripts: Sequence[tuple[Script[R], NamedKeys]]) -> list[R | StoreUnavailable]:
        """Run scripts in one round trip. Return the reply or the error of each. Raises StoreUnavailable."""
        with translated(), self._client.pipeline(transaction=False) as pipe:
            for script, keys in scripts:
                self._script(script.NAME)(keys=key_list(script, keys), args=self._arguments(script), client=pipe)
            replies = pipe.execute(raise_on_error=False)
        return [
            unavailable(reply) if isinstance(reply, Exception) else decode_reply(script, reply)
            for (script, _), reply in zip(scripts, replies, strict=True)
        ]

    def run_durably(self, script: Script[R], keys: NamedKeys, durability: Durability) -> tuple[R, NotDurable | None]:
        """Run a script and wait for the append-only file; the error is set if the file does not acknowledge.

        Raises StoreUnavailable, and NotDurable if nothing was written.
        """
        arguments = self._arguments(script)
        reply, problem = durability.run(self._script(script.NAME), key_list(script, keys), arguments)
        return decode_reply(script, reply), problem

    def _arguments(self, script: Script[Any]) -> list[str | bytes]:
        return [self.clock.argument(), encode_arguments(script)]

    def _script(self, name: str) -> Any:
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self._client.register_script(source(name))
        return script


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of Redis into StoreUnavailable."""
    try:
        yield
    except STORE_ERRORS as error:
        raise unavailable(error) from error
