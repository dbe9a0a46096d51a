"""The event queue and the clock of virtual time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from enum import IntEnum

EPOCH = 1_767_225_600.0
"""Where virtual time starts: 2026-01-01T00:00:00Z in epoch seconds."""


class Rank(IntEnum):
    """The order of entries that are due at one moment.

    Deadlines come after both; they are in the wake-up index. So a result exactly at its deadline is in time.
    """

    WORK = 0
    STIMULUS = 1


class EventQueue:
    """Entries by due time, and the current virtual time `now`, in seconds since the start."""

    def __init__(self) -> None:
        self.now = 0.0
        self._entries: list[tuple[float, Rank, int, Callable[[], None]]] = []
        self._sequence = itertools.count()

    @property
    def moment(self) -> float:
        """The current time in epoch seconds, to the microsecond, as in the store."""
        return round(EPOCH + self.now, 6)

    @property
    def next(self) -> float | None:
        """When the next entry is due, seconds since the start; None if the queue is empty."""
        return self._entries[0][0] if self._entries else None

    def put(self, seconds: float, action: Callable[[], None], rank: Rank = Rank.WORK) -> None:
        """Add an entry that is due at `seconds` since the start, or now if that time has passed."""
        # Microseconds, as in the store, so that 0.1 + 0.2 is the same moment as 0.3.
        due = max(self.now, round(seconds, 6))
        heapq.heappush(self._entries, (due, rank, next(self._sequence), action))

    def run_due(self) -> None:
        """Run the due entries in the order of ranks, including those that are added while it runs."""
        while self._entries and self._entries[0][0] <= self.now:
            heapq.heappop(self._entries)[3]()
