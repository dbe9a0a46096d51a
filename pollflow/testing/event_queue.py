"""Virtual time: what is to be done and when. Nobody waits; the clock jumps to the next entry."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from enum import IntEnum

EPOCH = 1_767_225_600.0
"""Where virtual time starts: 2026-01-01T00:00:00Z in epoch seconds."""


class Rank(IntEnum):
    """What comes first of what is due at one moment: a result in time beats its deadline."""

    WORK = 0
    OUTSIDE = 1
    DEADLINE = 2


class EventQueue:
    """A clock and what is due by it. `now` is seconds since the start."""

    def __init__(self) -> None:
        self.now = 0.0
        self._entries: list[tuple[float, Rank, int, Callable[[], None]]] = []
        self._sequence = itertools.count()

    @property
    def moment(self) -> float:
        """Now in epoch seconds, to the microsecond as the store keeps it."""
        return round(EPOCH + self.now, 6)

    def put(self, seconds: float, do: Callable[[], None], rank: Rank = Rank.WORK) -> None:
        """Something to do at `seconds` since the start, or at once if that is past."""
        # Microseconds, as in the store: so 0.1 + 0.2 is the same moment as 0.3.
        moment = max(self.now, round(seconds, 6))
        heapq.heappush(self._entries, (moment, rank, next(self._sequence), do))

    def run(self, until: float | None = None) -> None:
        """Does what is due, one after another, up to `until` (seconds since the start, included)."""
        while self._entries and (until is None or self._entries[0][0] <= until):
            self.now, _, _, do = heapq.heappop(self._entries)
            do()

    @property
    def next(self) -> float | None:
        """When the next thing is due, seconds since the start; None if there is none."""
        return self._entries[0][0] if self._entries else None

    def run_due(self) -> bool:
        """Does the first of what is due at this moment: all the work, or else one thing. False if nothing is due.

        What follows from it may be work of this moment again, which comes before the next thing from outside.
        """
        if not self._is_due():
            return False
        rank = self._entries[0][1]
        heapq.heappop(self._entries)[3]()
        while rank is Rank.WORK and self._is_due() and self._entries[0][1] is rank:
            heapq.heappop(self._entries)[3]()
        return True

    def _is_due(self) -> bool:
        return bool(self._entries) and self._entries[0][0] <= self.now
