"""`DueEntry`: what the sweep needs of an entry to publish its message, without its state, which may be large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pollflow.machine import MessageMetadata
from pollflow.store.connection import Connection, unavailable
from pollflow.store.keys import Keys, WakeUp
from pollflow.store.messages import Message, MessageKey
from pollflow.store.records import next_delivery
from pollflow.store.scripts import translated
from pollflow.store.state import load_metadata

_FIELDS = ("token", "kind", "metadata", "due", "sent", "deadline")


@dataclass(frozen=True, slots=True)
class DueEntry:
    """A part of a frame's record. Its fields are those of `FrameRecord`."""

    key: MessageKey
    kind: str
    metadata: MessageMetadata
    due: float
    sent: int
    deadline: float | None

    def message(self, countdown: float) -> Message:
        """Return the next message of the entry."""
        return Message(self.key, self.metadata, countdown=countdown, delivery=next_delivery(self.sent))


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """The fields of a frame as stored: those that are missing are None. Or the error of Redis for this frame."""

    wake_up: WakeUp
    fields: Sequence[str | None] | Exception

    def load(self) -> DueEntry | None:
        """Return the entry; None if the frame or its execution no longer exists.

        Raises StoreUnavailable, and ValueError or TypeError for a damaged record.
        """
        if isinstance(self.fields, Exception):
            raise unavailable(self.fields) from self.fields
        token, kind, metadata, due, sent, deadline = self.fields
        if token is None or self.wake_up.frame is None:
            return None
        return DueEntry(
            key=MessageKey(self.wake_up.execution, self.wake_up.frame, token),
            kind=kind or "",
            metadata=load_metadata(metadata) if metadata else MessageMetadata("task", ""),
            due=float(due or 0),
            sent=int(sent or 0),
            deadline=None if deadline is None else float(deadline),
        )


def read_entries(client: Connection, keys: Keys, wake_ups: Sequence[WakeUp]) -> list[StoredEntry]:
    """Return the entries of frames in the wake-up index; one round trip. Raises StoreUnavailable."""
    if not wake_ups:
        return []
    with translated():
        pipe = client.pipeline(transaction=False)
        for wake_up in wake_ups:
            ref = wake_up.execution.ref
            pipe.hmget(keys.execution(ref), "id", "incarnation")
            pipe.hmget(keys.frame(ref, wake_up.frame or ""), *_FIELDS)
        found = pipe.execute(raise_on_error=False)
    return [_stored(*each) for each in zip(wake_ups, found[::2], found[1::2], strict=True)]


def _stored(wake_up: WakeUp, identity: Any, fields: Any) -> StoredEntry:
    if isinstance(identity, Exception):
        return StoredEntry(wake_up, identity)
    is_same = identity == [wake_up.execution.id, str(wake_up.execution.incarnation)]
    return StoredEntry(wake_up, fields if is_same else [None] * len(_FIELDS))
