"""Messages: the Celery message of an entry, as the store and the runtime exchange it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pollflow.machine import MessageMetadata
from pollflow.store.keys import ExecutionKey, ExecutionRef


@dataclass(frozen=True, slots=True)
class MessageKey:
    """What a message is for: the execution, the frame, and the fencing token of the entry."""

    execution: ExecutionKey
    frame: str
    token: str

    @property
    def ref(self) -> ExecutionRef:
        """The ref of the execution."""
        return self.execution.ref


@dataclass(frozen=True, slots=True)
class Carried:
    """What a message carries of its entry, so that a step that calls nothing needs no claim.

    `state` is the frame's state as stored: encoded, if there is a codec. `digest` and `started_at` are those of the
    execution, `events` is the number of its events at the entry. A message may be old or forged, so a commit compares
    these texts with the stored ones.
    """

    layout: int
    state: str
    digest: str
    started_at: float
    events: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message to be published.

    `countdown` is seconds from now, 0 for at once; `at`, if set, is the due time itself (epoch seconds). `delivery`
    tells apart the messages of one entry and attempt; it is empty for the first one, which may carry the state.
    """

    key: MessageKey
    metadata: MessageMetadata
    countdown: float = 0
    at: float | None = None
    delivery: str = ""
    carried: Carried | None = None


@dataclass(frozen=True, slots=True)
class EncodedMessage:
    """A message in the form of the broker: the Redis list to push to, and the text before and after the time.

    The script that publishes it inserts the publishing time, by Redis' clock.
    """

    queue: str
    head: str
    tail: str


Encode = Callable[[Message], "EncodedMessage | None"]
"""Encodes a message for a script. Returns None if the broker is another server, so that scripts cannot publish."""


def encode_nothing(message: Message) -> None:
    """Leave publishing to the caller of the script."""
