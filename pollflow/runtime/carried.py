"""The header of a message that carries the state of its step: written, read, and left out where it would show a secret.

A worker needs no claim for such a step. What the header says counts only if it is what Redis has stored.
"""

from __future__ import annotations

import base64
import json

from pollflow.runtime.masking import Mask
from pollflow.store import Carried

CARRIED = "pollflow_carried"
"""The name of the header. Its value is Base64, so that a log that prints a whole message shows no data at a glance."""


def dump(carried: Carried | None, mask: Mask, *, is_encoded: bool) -> str | None:
    """Return the value of the header; None to carry nothing.

    `is_encoded`: a codec has encoded the state. Otherwise a state with a masked value is not carried: Celery logs
    messages that it cannot handle.
    """
    if carried is None or (not is_encoded and mask.finds(carried.state)):
        return None
    fields = [carried.layout, carried.state, carried.digest, carried.started_at, carried.events]
    return base64.b64encode(json.dumps(fields, separators=(",", ":")).encode()).decode()


def load(text: object) -> Carried | None:
    """Return what `dump` wrote; None for anything else, which may be forged."""
    if not isinstance(text, str):
        return None
    try:
        fields = json.loads(base64.b64decode(text, validate=True))
    except (ValueError, RecursionError):
        return None
    match fields:
        case [int(layout), str(state), str(digest), float(started_at), int(events)]:
            return Carried(layout, state, digest, started_at, events)
    return None
