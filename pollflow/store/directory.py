"""What workers write down for clients: where step messages go, the settings, and the registered functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pollflow.store.connection import Connection
from pollflow.store.keys import Keys
from pollflow.store.scripts import translated


@dataclass(frozen=True, slots=True)
class Directory:
    """Routes and functions, as workers know them."""

    client: Connection
    keys: Keys

    def has_route(self) -> bool:
        """Return whether a worker has written the route; Redis may have lost it."""
        with translated():
            return bool(self.client.exists(self.keys.route()))

    def save_route(self, fields: dict[str, str]) -> None:
        """Write the route: texts by name."""
        with translated():
            self.client.hset(self.keys.route(), mapping=fields)

    def route(self) -> dict[str, str]:
        """Return the route that a worker has written; empty where none has."""
        with translated():
            return dict(self.client.hgetall(self.keys.route()))

    def save_functions(self, names: Iterable[str], at: float) -> None:
        """Write the names of functions that a worker has registered, with the time (epoch seconds)."""
        seen = {name: repr(at) for name in names}
        if seen:
            with translated():
                self.client.hset(self.keys.functions(), mapping=seen)

    def functions(self, since: float = 0) -> list[str]:
        """Return the names of functions that workers have registered since a time (epoch seconds), sorted."""
        with translated():
            found: dict[str, str] = self.client.hgetall(self.keys.functions())
        return sorted(name for name, seen_at in found.items() if float(seen_at) >= since)


@dataclass(frozen=True, slots=True)
class QueueReader:
    """Looks at the lists that the broker keeps messages in."""

    client: Connection

    def oldest(self, list_key: str, count: int) -> list[str]:
        """Return up to `count` messages that will be taken next, the oldest last."""
        with translated():
            return list(self.client.lrange(list_key, -count, -1))
