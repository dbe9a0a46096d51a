"""Messages: the Celery message of an entry, as the store and the runtime hand it to each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pollflow.machine import MessageMetadata
from pollflow.store.keys import ExecutionKey, ExecutionRef


@dataclass(frozen=True, slots=True)
class MessageKey:
    """The current message of one entry: its execution, its frame, and the token that it acts under."""

    execution: ExecutionKey
    frame: str
    token: str

    @property
    def ref(self) -> ExecutionRef:
        """The ref of the execution."""
        return self.execution.ref


@dataclass(frozen=True, slots=True)
class Message:
    """A message to be published.

    `countdown` is seconds from now, 0 for at once; `at`, if set, is the due time itself (epoch seconds).
    """

    key: MessageKey
    metadata: MessageMetadata
    countdown: float = 0
    at: float | None = None


@dataclass(frozen=True, slots=True)
class EncodedMessage:
    """A message as the broker takes it: the Redis list to push to, and the text before and after the publishing time.

    The time is Redis', so the script that publishes inserts it.
    """

    queue: str
    head: str
    tail: str


Encode = Callable[[Message], "EncodedMessage | None"]
"""Encodes a message for the script. None where the script cannot publish, since the broker is another server."""


def encode_nothing(message: Message) -> None:
    """Leave publishing to the caller of the script."""
