"""The sweep: looks at what is due in the wake-up index, and puts it back at the ordinary door.

One sweep serves lost messages, long waits, dead workers and timeouts alike. Any number of processes may sweep: a
script hands each due member to one of them, and whatever follows is guarded by tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from pollflow.errors import StoreFull, StoreUnavailable, UnreadableRecord
from pollflow.runtime import messages
from pollflow.runtime.engine import Engine
from pollflow.runtime.maintenance import MaintenanceJobs
from pollflow.runtime.routes import Routes
from pollflow.store import ExecutionRef, FrameRecord, Message, MessageKey, parse_member, translated

_MOST_PER_SHARD = 200
_PEEK = 10

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Sweeps all shards."""

    engine: Engine
    maintenance: MaintenanceJobs
    routes: Routes
    interval_seconds: float

    def sweep(self, *, at_once: bool = False) -> int:
        """Looks at everything that is due, unless somebody else just did. How many entries it found."""
        if not at_once and not self._acquire_turn():
            return 0
        return self.sweep_shards(self._due_shards())

    def sweep_shards(self, shards: Iterable[int]) -> int:
        """Looks at everything that is due in these shards. How many entries it found."""
        oldest = self._oldest() if self.routes.in_script else {}
        found = 0
        full: StoreFull | None = None
        for shard in shards:
            at, members = self.engine.store.due(shard, _MOST_PER_SHARD)
            found += len(members)
            for member in members:
                # What is refused comes back a grace later; among those behind it may be purges, which make room.
                full = self._serve(member, at, oldest) or full
        if full is not None:
            raise full
        return found

    def _due_shards(self) -> list[int]:
        # One round trip instead of a script per shard: most sweeps find nothing.
        moments, now = self.engine.store.next_wake_ups(), self.engine.reading.now()
        return [shard for shard, moment in moments.items() if moment <= now]

    def _acquire_turn(self) -> bool:
        store = self.engine.store
        lock_ms = max(1, int(self.interval_seconds * 900))
        try:
            with translated():
                return bool(store.client.set(store.keys.sweeper(), "1", nx=True, px=lock_ms))
        except StoreFull:
            # What a sweep deletes makes room. That others sweep too is no harm.
            return True

    def _serve(self, member: str, at: float, oldest: dict[str, float]) -> StoreFull | None:
        try:
            self._look_at(member, at, oldest)
        except StoreFull as error:
            return error
        except StoreUnavailable:
            raise
        except UnreadableRecord as error:
            logger.warning("left to a later release: %s", error, extra={"member": member})
        except Exception:  # what is wrong with one entry must not keep the others waiting; it is looked at again
            logger.warning("a wake-up could not be served", extra={"member": member}, exc_info=True)
        return None

    def _look_at(self, member: str, at: float, oldest: dict[str, float]) -> None:
        ref, frame, job = parse_member(member)
        if job is not None:
            self.maintenance.do(ref, job)
            return
        record = None if frame is None else self.engine.reading.frame(ref, frame)
        if frame is None or record is None:
            self.engine.store.forget(ref, frame or "")
            return
        execution = self.engine.reading.execution(ref)
        if record.deadline is not None and record.deadline <= at:
            self.engine.time_out_step(ref, frame, record, execution)
        elif record.kind != "report":
            self._redeliver(ref, frame, record, execution.id, at, oldest)

    def _redeliver(
        self,
        ref: ExecutionRef,
        frame: str,
        record: FrameRecord,
        execution_id: str,
        at: float,
        oldest: dict[str, float],
    ) -> None:
        store = self.engine.store
        message = Message(
            MessageKey(ref, frame, record.token),
            execution_id,
            record.metadata,
            countdown=max(0.0, record.due - at),
        )
        result, unpublished = store.redeliver(
            message, record.sent, oldest.get(self.routes.queue_of(record.metadata.type))
        )
        if unpublished:
            self.engine.publish(message)
        if result == "sent" and record.sent:
            extra = {"execution": str(ref), "frame": frame, "step": record.metadata.step, "sent": record.sent + 1}
            logger.info("redelivered", extra=extra)

    def _oldest(self) -> dict[str, float]:
        """When the oldest step message in each queue was sent. Queues are first in, first out, so what was sent later
        is still in there. A queue whose end holds only messages of others says nothing.
        """
        queues = set(self.routes.queues.values())
        found: dict[str, float] = {}
        with translated():
            for queue in queues:
                texts = self.engine.store.client.lrange(self.routes.list_of(queue), -_PEEK, -1)
                moments = [moment for moment in map(messages.sent_at, texts) if moment is not None]
                if moments:
                    found[queue] = min(moments)
        return found
