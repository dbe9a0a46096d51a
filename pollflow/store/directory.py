"""What workers register for clients: routes of step messages, settings, and functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pollflow.store.connection import Connection
from pollflow.store.keys import Keys
from pollflow.store.scripts import translated


@dataclass(frozen=True, slots=True)
class Directory:
    """The registered routes and functions."""

    client: Connection
    keys: Keys

    def has_route(self) -> bool:
        """Return whether the route is stored. Redis may have lost it."""
        with translated():
            return bool(self.client.exists(self.keys.route()))

    def save_route(self, fields: dict[str, str]) -> None:
        """Store the route: texts by name."""
        with translated():
            self.client.hset(self.keys.route(), mapping=fields)

    def route(self) -> dict[str, str]:
        """Return the stored route; empty if no worker has stored one."""
        with translated():
            return dict(self.client.hgetall(self.keys.route()))

    def save_functions(self, names: Iterable[str], at: float) -> None:
        """Store the names of a worker's functions with the time (epoch seconds)."""
        seen = {name: repr(at) for name in names}
        if seen:
            with translated():
                self.client.hset(self.keys.functions(), mapping=seen)

    def functions(self, since: float = 0) -> list[str]:
        """Return the names of functions that workers have registered since a time (epoch seconds), sorted."""
        return sorted(name for name, seen_at in self.functions_seen().items() if seen_at >= since)

    def functions_seen(self) -> dict[str, float]:
        """Return when (epoch seconds) each function was last registered by a worker that ran."""
        with translated():
            found: dict[str, str] = self.client.hgetall(self.keys.functions())
        return {name: _seconds(seen_at) for name, seen_at in found.items()}


def _seconds(text: str) -> float:
    """Return a stored time; 0 for a damaged one, so that the function still exists."""
    try:
        return float(text)
    except ValueError:
        return 0.0
