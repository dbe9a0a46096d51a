"""Loads `lua/*.lua`, each with the prelude in front, and runs them with typed arguments and replies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

from redis.exceptions import RedisError

from pollflow.errors import NotDurable, StoreUnavailable
from pollflow.store.clock import Clock
from pollflow.store.commands import Script
from pollflow.store.connection import STORE_ERRORS, Connection, unavailable
from pollflow.store.durability import Durability, ScriptCall, run_calls
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
        call, key_names, arguments = self._call(script, keys)
        with translated():
            reply = call(keys=key_names, args=arguments)
        return decode_reply(script, reply)  # type: ignore[no-any-return]

    def run_many(self, scripts: Sequence[tuple[Script[R], NamedKeys]]) -> list[R]:
        """Run scripts in one round trip, each by itself. Raises StoreUnavailable if one fails."""
        replies, _ = self.run_each(scripts)
        return [_raise_refused(reply) for reply in replies]

    def run_each(
        self, scripts: Sequence[tuple[Script[R], NamedKeys]], durability: Durability | None = None
    ) -> tuple[list[R | StoreUnavailable], NotDurable | None]:
        """Run scripts in one round trip, each by itself. Return for each its reply, or why Redis refused it.

        With `durability`, wait for the append-only file; the second error is set if the file does not acknowledge.
        Raises StoreUnavailable, after which some may have run, and NotDurable if nothing was written.
        """
        calls = [self._call(script, keys) for script, keys in scripts]
        problem = None
        if durability is None:
            replies = run_calls(self._client, calls)
        else:
            replies, problem = durability.run(calls)
        return [_decoded(script, reply) for (script, _), reply in zip(scripts, replies, strict=True)], problem

    def run_durably(self, script: Script[R], keys: NamedKeys, durability: Durability) -> tuple[R, NotDurable | None]:
        """Run a script and wait for the append-only file; the error is set if the file does not acknowledge.

        Raises StoreUnavailable, and NotDurable if nothing was written.
        """
        (reply,), problem = self.run_each([(script, keys)], durability)
        return _raise_refused(reply), problem

    def _call(self, script: Script[Any], keys: NamedKeys) -> ScriptCall:
        return self._script(script.NAME), key_list(script, keys), self._arguments(script)

    def _arguments(self, script: Script[Any]) -> list[str | bytes]:
        return [self.clock.argument(), encode_arguments(script)]

    def _script(self, name: str) -> Any:
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self._client.register_script(source(name))
        return script


def _decoded(script: Script[R], reply: Any) -> R | StoreUnavailable:
    return unavailable(reply) if isinstance(reply, RedisError) else decode_reply(script, reply)


def _raise_refused(reply: R | StoreUnavailable) -> R:
    if isinstance(reply, StoreUnavailable):
        raise reply
    return reply


@contextmanager
def translated() -> Iterator[None]:
    """Turn errors of Redis into StoreUnavailable."""
    try:
        yield
    except STORE_ERRORS as error:
        raise unavailable(error) from error
