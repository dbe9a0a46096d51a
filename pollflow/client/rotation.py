"""Key rotation of all executions, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pollflow.store import Rotated

if TYPE_CHECKING:
    from pollflow.client.client import Client

_MAX_PASSES = 5


def rotations(client: Client, *, is_dry: bool = False) -> Iterator[Rotated]:
    """Rewrite the data of each execution with the current key, and yield what was done; `is_dry`: only count records.

    Executions that were rewritten before cost only their reading. Raises ConfigurationError for an app without a codec.
    """
    store = client._container.store
    store.check_codec()
    for ref in store.encoded_executions():
        rotated = store.rotate(ref, is_dry=is_dry)
        for _ in range(0 if is_dry or not rotated.rewritten else _MAX_PASSES):
            # A commit or a compaction at the same time may have moved records past the reader.
            again = store.rotate(ref)
            rotated.rewritten += again.rewritten
            rotated.left = again.left
            if not again.rewritten:
                break
        yield rotated
