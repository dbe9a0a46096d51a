"""Key rotation of all executions, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pollflow.client.actor import actor
from pollflow.store import Rotated

if TYPE_CHECKING:
    from pollflow.client.client import Client

_MAX_PASSES = 5


def rotations(client: Client, *, is_dry: bool = False, by: str | None = None) -> Iterator[Rotated]:
    """Rewrite the data of each execution with the current key, and yield what was done; `is_dry`: only count records.

    Executions that were rewritten before cost only their reading. `by`: who does it, for the audit log, which has the
    entry before anything is rewritten. Raises ConfigurationError for an app without a codec, InvalidArgument.
    """
    container = client._container
    store, who = container.store, actor(by, client._by)
    store.check_codec()
    if not is_dry:
        container.audit.record_rotation(store.sealer.key_id, container.reading.now(), who)
    for ref in store.all_executions():
        rotated = store.rotate(ref, is_dry=is_dry)
        for _ in range(0 if is_dry or not rotated.rewritten else _MAX_PASSES):
            # A commit or a compaction at the same time may have moved records past the reader.
            again = store.rotate(ref)
            rotated.rewritten += again.rewritten
            rotated.left = again.left
            if not again.rewritten:
                break
        yield rotated
