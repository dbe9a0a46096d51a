"""History compaction: older events are kept in compressed blocks. No event is lost or changed by it.

A job that is polled every ten seconds for a day has 130,000 events, 18 MB of text; compacted they take less than 1 MB.
With a codec, a block is compressed before it is encoded, since encoded events cannot be compressed.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence

from pollflow.errors import DamagedRecord
from pollflow.store.codec import BLOCK as BLOCK_KIND
from pollflow.store.codec import CLEAR, EVENT, Sealer, is_sealed
from pollflow.store.keys import ExecutionRef
from pollflow.store.state import dump_json, load_json
from pollflow.store.values import NO_EXECUTION, place_of

BLOCK = 1000
"""Events in a block. A page of history expands one or two."""


def compact(events: Sequence[str], sealer: Sealer = CLEAR, ref: ExecutionRef = NO_EXECUTION, before: int = 0) -> str:
    """Return a block of stored events as text; `before` events precede it. Raises MissingKey, CodecError."""
    if sealer.codec is not None:
        events = [clear_event(text, sealer, ref) for text in events]
    # JSON has no line breaks of its own.
    block = zlib.compress("\n".join(events).encode("utf-8", "surrogatepass"), 9)
    if sealer.codec is not None:
        return sealer.seal_bytes(ref, BLOCK_KIND, block, str(before))
    return base64.b85encode(block).decode("ascii")


def expand(block: str, sealer: Sealer = CLEAR, ref: ExecutionRef = NO_EXECUTION, before: int = 0) -> list[str]:
    """Return the events of a block. Raises MissingKey, DamagedRecord, ValueError, zlib.error."""
    data = sealer.open_bytes(ref, BLOCK_KIND, block, str(before)) if is_sealed(block) else base64.b85decode(block)
    return zlib.decompress(data).decode("utf-8", "surrogatepass").split("\n")


def clear_event(text: str, sealer: Sealer, ref: ExecutionRef) -> str:
    """Return a stored event with a clear detail. A damaged one stays as it is. Raises MissingKey."""
    try:
        at, cause, (type_, step, detail, *operator) = load_json(text)
        if not isinstance(detail, str):
            return text
        detail, reason = load_json(sealer.open(ref, EVENT, detail, place_of(type_, step)))
    except (ValueError, TypeError, DamagedRecord):
        return text
    by = operator[0] if operator else ""
    return dump_json([at, cause, [type_, step, detail, *([by, reason] if by or reason else [])]])


def is_time_to_compact(before: int, after: int) -> bool:
    """Return whether a commit that raised the number of events from `before` to `after` filled a block."""
    return after >= 2 * BLOCK and before // BLOCK != after // BLOCK
