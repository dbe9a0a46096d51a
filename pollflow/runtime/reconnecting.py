"""How a worker comes back to its broker: it asks every two seconds at least, where Celery asks ever less often, down to
every thirty seconds, and is late by as much when the broker is there again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.worker.consumer import Consumer

DEFAULT = "celery.worker.consumer:Consumer"
EAGER = "pollflow.runtime.reconnecting:EagerConsumer"

_INTERVALS = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 1.5}
"""As kombu takes them: from the first, by the step, up to first and maximum together."""


class EagerConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, but for the pauses between two attempts to connect."""

    def ensure_connected(self, conn: Any) -> Any:
        """Connects, as long as that takes."""
        conn.ensure_connection = partial(conn.ensure_connection, **_INTERVALS)
        return super().ensure_connected(conn)
