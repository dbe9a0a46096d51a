"""A frame's state and a message's metadata as stored text. The layout number is a field beside the state.

A release reads its predecessor's layout. A later layout is left to later releases: UnreadableRecord. The layout of an
encoded state is another number, so that a process that cannot decode it leaves it in the same way.
"""

from __future__ import annotations

import json
from typing import Any

from pollflow.errors import UnreadableRecord
from pollflow.fdl.model import Json
from pollflow.machine import FrameState, Join, Level, MessageMetadata, ParentFrame, Phase

LAYOUT = 1
ENCODED = 1
"""Added to the layout of a state that a codec has encoded; so the next layout is 3."""


# `json.dumps` makes an encoder at each call with options.
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def dump_json(value: Json) -> str:
    """Return compact JSON text. Raises ValueError for numbers that JSON does not have."""
    return _ENCODER.encode(value)


def load_json(text: str) -> Any:
    """Return the value of stored JSON text. Raises ValueError for any other text.

    Only a damaged record is nested so deeply that Python's decoder gives up.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def dump_state(state: FrameState) -> str:
    """Return the stored form of a frame's state; the frame's name is in the key."""
    return dump_json(
        {
            "input": state.input,
            "levels": [[level.series, level.step, level.local, level.entered] for level in state.levels],
            "entry": state.entry,
            "visits": dict(state.visits),
            "phase": state.phase.value,
            "attempt": state.attempt,
            "retries": list(state.retries),
            "last_error": state.last_error,
            "parent": [parent.frame, parent.entry, parent.index] if (parent := state.parent) else None,
        }
    )


def load_state(frame: str, layout: int, text: str) -> FrameState:
    """Return the state that `dump_state` wrote. Raises UnreadableRecord for the layout of a later release."""
    if layout not in (LAYOUT, LAYOUT + ENCODED):
        raise UnreadableRecord(f"state of layout {layout}; this release reads {LAYOUT}")
    record = load_json(text)
    return FrameState(
        frame=frame,
        input=record["input"],
        levels=tuple(Level(series, step, local, entered) for series, step, local, entered in record["levels"]),
        entry=record["entry"],
        visits=record["visits"],
        phase=Phase(record["phase"]),
        attempt=record["attempt"],
        retries=tuple(record["retries"]),
        last_error=record["last_error"],
        parent=ParentFrame(*record["parent"]) if record["parent"] else None,
    )


def dump_metadata(metadata: MessageMetadata) -> str:
    """Return the stored form of a message's metadata."""
    fields: list[Json] = [metadata.type, metadata.step, metadata.attempt, metadata.entry, metadata.visit]
    if metadata.is_callback or metadata.before is not None:
        fields += [metadata.is_callback, metadata.timeout]
    return dump_json(fields if metadata.before is None else [*fields, metadata.before])


def load_metadata(text: str) -> MessageMetadata:
    """Return the metadata that `dump_metadata` wrote; a later release may have added fields."""
    return MessageMetadata(*load_json(text)[:8])


def load_join(total: int | None, made: int | None, ended: int | None) -> Join | None:
    """Return the counts of a map step's children; None where no children were made."""
    return None if made is None else Join(total or 0, made, ended or 0)
