"""Routes of step messages: a Redis list that the scripts push to, or the app's own broker connection.

Workers store the routes of their app, so that a client without the app can use them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from pollflow.runtime import carried, messages
from pollflow.runtime.masking import Mask
from pollflow.runtime.settings import Settings
from pollflow.store import Directory, EncodedMessage, Message

DEFAULT_QUEUE = "celery"


@dataclass(frozen=True, slots=True)
class Routes:
    """The queue of each step type. `in_script`: broker and state are the same database of one Redis."""

    in_script: bool = True
    queues: dict[str, str] = field(default_factory=dict)
    list_prefix: str = ""

    def queue_of(self, step_type: str) -> str:
        """Return the name of the queue that steps of the type go to."""
        return self.queues.get(step_type, DEFAULT_QUEUE)

    def list_of(self, queue: str) -> str:
        """Return the Redis list of a queue."""
        return self.list_prefix + queue

    def lists(self) -> set[str]:
        """Return all lists that step messages go to."""
        return {self.list_of(queue) for queue in self.queues.values()} or {self.list_of(DEFAULT_QUEUE)}

    def encode(self, message: Message, mask: Mask, *, is_encoded: bool) -> EncodedMessage | None:
        """Encode a message for a script; return None if scripts cannot publish.

        It carries no masked values, unless a codec has encoded them.
        """
        if not self.in_script:
            return None
        queue = self.queue_of(message.metadata.type)
        header = carried.dump(message.carried, mask, is_encoded=is_encoded)
        return messages.encode(message, queue=queue, list_key=self.list_of(queue), carried=header)

    def save(self, directory: Directory, settings: Settings) -> None:
        """Store the routes and the settings of the workers for clients."""
        directory.save_route(
            {
                "settings": settings.dump(),
                "in_script": str(int(self.in_script)),
                "queues": json.dumps(self.queues),
                "list_prefix": self.list_prefix,
            }
        )

    @classmethod
    def load(cls, directory: Directory) -> tuple[Routes, str | None]:
        """Return the stored routes and settings; routes by which no script publishes, and None, if there are none."""
        record = directory.route()
        if not record:
            return cls(in_script=False), None
        routes = cls(bool(int(record["in_script"])), json.loads(record["queues"]), record["list_prefix"])
        return routes, record.get("settings")


Publish = Callable[[Message], None]
"""Publishes a message on the app's own broker connection.

It logs that the broker does not serve, since the sweep publishes the message again. It raises any other exception.
"""
