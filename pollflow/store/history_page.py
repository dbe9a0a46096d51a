"""One page of a history, read atomically, since compaction moves events from the list into blocks.

It is read in a transaction, not by a script: a user of Redis without the right to write could not run a script.
"""

from __future__ import annotations

from dataclasses import dataclass

from pollflow.store import script_keys
from pollflow.store.compaction import BLOCK
from pollflow.store.connection import Connection
from pollflow.store.keys import ExecutionKey, Keys
from pollflow.store.scripts import translated

_NOTHING = (1, 0)
"""The first and last index of an empty part of a list."""


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Blocks and newer events, as stored; `first` is the number of events before them."""

    first: int
    blocks: list[str]
    events: list[str]


def read_page(client: Connection, keys: Keys, key: ExecutionKey, after: int, limit: int) -> HistoryPage | None:
    """Return what holds up to `limit` events after the first `after`; None if the execution no longer exists.

    Raises StoreUnavailable, and ValueError for a damaged record.
    """
    names = script_keys.history_keys(keys, key.ref)
    first_block, last_block = after // BLOCK, (after + limit - 1) // BLOCK
    with translated():
        compacted = int(client.hget(names["execution"], "compacted") or 0)
        while True:
            blocks_part = (first_block, min(last_block, compacted // BLOCK - 1)) if after < compacted else _NOTHING
            events_part = (max(0, after - compacted), after + limit - compacted - 1)
            pipe = client.pipeline(transaction=True)
            pipe.hmget(names["execution"], "id", "incarnation", "compacted")
            pipe.lrange(names["blocks"], *blocks_part)
            pipe.lrange(names["history"], *(events_part if events_part[1] >= 0 else _NOTHING))
            (id, incarnation, found), blocks, events = pipe.execute()
            if id != key.id or int(incarnation or 0) != key.incarnation:
                return None
            if int(found or 0) == compacted:
                return HistoryPage(first_block * BLOCK if blocks else max(after, compacted), blocks, events)
            compacted = int(found or 0)
