"""Where step messages go: by a list that the store's scripts may push to, or by the app that publishes.

Workers write down what they found out from their app, so that a client without the app knows it too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from pollflow.runtime import messages
from pollflow.runtime.settings import Settings
from pollflow.store import Connection, EncodedMessage, Keys, Message, translated

DEFAULT_QUEUE = "celery"


@dataclass(frozen=True, slots=True)
class Routes:
    """The queue of each step type. `in_script`: broker and state are the same database of one Redis."""

    in_script: bool = True
    queues: dict[str, str] = field(default_factory=dict)
    list_prefix: str = ""

    def queue_of(self, step_type: str) -> str:
        """The name of the queue that steps of the type go to."""
        return self.queues.get(step_type, DEFAULT_QUEUE)

    def list_of(self, queue: str) -> str:
        """The Redis list of a queue."""
        return self.list_prefix + queue

    def lists(self) -> set[str]:
        """All lists that step messages go to."""
        return {self.list_of(queue) for queue in self.queues.values()} or {self.list_of(DEFAULT_QUEUE)}

    def encode(self, message: Message) -> EncodedMessage:
        """The letter in its envelope."""
        if not self.in_script:
            return EncodedMessage(None)
        queue = self.queue_of(message.metadata.type)
        return messages.encode(message, queue=queue, list_key=self.list_of(queue))

    def save(self, client: Connection, keys: Keys, settings: Settings) -> None:
        """Writes them down for clients, with the settings of the workers."""
        record: dict[str, str | int] = {
            "settings": settings.dump(),
            "in_script": int(self.in_script),
            "queues": json.dumps(self.queues),
            "list_prefix": self.list_prefix,
        }
        with translated():
            client.hset(keys.route(), mapping=record)

    @classmethod
    def load(cls, client: Connection, keys: Keys) -> tuple[Routes, str | None]:
        """As a worker has written them, with its settings; the default queue of Celery where none has yet."""
        with translated():
            record: dict[str, str] = client.hgetall(keys.route())
        if not record:
            return cls(), None
        routes = cls(bool(int(record["in_script"])), json.loads(record["queues"]), record["list_prefix"])
        return routes, record.get("settings")


Publish = Callable[[Message], None]
"""Publishes a letter by the app's own broker connection."""
