"""`OldestMessages`: the age of the queues, by which the sweep tells a lost message from a queued one."""

from __future__ import annotations

from dataclasses import dataclass, field

from pollflow.runtime import messages
from pollflow.runtime.routes import Routes
from pollflow.store import QueueReader


@dataclass(frozen=True, slots=True)
class OldestMessages:
    """When the oldest step message of each queue was published. A queue is read once, and only if it matters.

    Queues are first in, first out, so a step message that was published later is still queued. A queue may begin with
    messages of other tasks; any step message found behind them is a bound, though not the best one.
    """

    queues: QueueReader
    routes: Routes
    _found: dict[str, float | None] = field(default_factory=dict)

    def sent_at(self, step_type: str) -> float | None:
        """Return when the oldest message found in the queue of a step type was published, by Redis' clock.

        None: the queue has no step message, or none was found, or the broker is not this Redis.
        """
        if not self.routes.in_script:
            return None
        queue = self.routes.queue_of(step_type)
        if queue not in self._found:
            self._found[queue] = self._oldest(self.routes.list_of(queue))
        return self._found[queue]

    def _oldest(self, list_key: str) -> float | None:
        for texts in self.queues.from_oldest(list_key):
            # Messages that were restored or pushed at the same time are not quite in order.
            times = [time for time in map(messages.sent_at, texts) if time is not None]
            if times:
                return min(times)
        return None
