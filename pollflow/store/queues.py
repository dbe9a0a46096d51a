"""Reading the lists in which a Redis broker keeps messages, without taking any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pollflow.store.connection import Connection
from pollflow.store.scripts import translated

_SLICE = 10
_MAX_MESSAGES, _MAX_CHARACTERS = 2_000, 2_000_000
"""What is read without a gap. A queue may be long, and its messages large."""


@dataclass(frozen=True, slots=True)
class QueueReader:
    """Reads the lists in which the broker keeps messages."""

    client: Connection

    def from_oldest(self, list_key: str) -> Iterator[list[str]]:
        """Yield slices of a list from its oldest message on; a caller that has found what it wants stops reading.

        The first messages are read without a gap, in slices that double. Of the others, a few are read at distances
        that double, and then the newest ones, so that a queue of any length costs little.
        """
        start, size, characters = 0, _SLICE, 0
        while True:
            texts = self._read(list_key, start, size)
            if texts:
                yield texts
            if len(texts) < size:
                # The end, unless workers have taken messages meanwhile; then some were skipped.
                return
            start += size
            characters += sum(map(len, texts))
            if start >= _MAX_MESSAGES or characters >= _MAX_CHARACTERS:
                break
            size = min(2 * size, _MAX_MESSAGES - start)
        distance = _SLICE
        while texts := self._read(list_key, start, _SLICE):
            yield texts
            start, distance = start + distance, 2 * distance
        yield self._newest(list_key)

    def _read(self, list_key: str, start: int, count: int) -> list[str]:
        """Return up to `count` messages, before which `start` older ones are queued."""
        with translated():
            return list(self.client.lrange(list_key, -start - count, -start - 1))

    def _newest(self, list_key: str) -> list[str]:
        with translated():
            return list(self.client.lrange(list_key, 0, _SLICE - 1))
