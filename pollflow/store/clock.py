"""The one clock: that of Redis, read inside the scripts. Tests may shift it, or freeze it and move it by hand."""

from __future__ import annotations

from dataclasses import dataclass

from pollflow.store.connection import Connection


@dataclass(slots=True)
class Clock:
    """How the scripts read the time. `shift` is added to Redis' clock; `frozen_at`, if set, is the time itself.

    In production neither is ever set. Both are seconds.
    """

    shift: float = 0
    frozen_at: float | None = None

    def argument(self) -> str:
        """Return the first argument of every script."""
        return f"+{self.shift!r}" if self.frozen_at is None else f"={self.frozen_at!r}"

    def time_of(self, reply: tuple[int, int]) -> float:
        """Return the time as the scripts see it, in epoch seconds, when Redis replies to TIME as given."""
        seconds, microseconds = reply
        return seconds + microseconds / 1_000_000 + self.shift if self.frozen_at is None else self.frozen_at

    def read(self, client: Connection) -> float:
        """Return the current time as the scripts see it, in epoch seconds."""
        if self.frozen_at is not None:
            return self.frozen_at
        return self.time_of(client.time())
