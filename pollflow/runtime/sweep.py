"""The sweep: processes the wake-ups that are due.

It handles lost messages, long waits, dead workers and timeouts alike. Any number of processes may sweep: a script gives
each due wake-up to one of them, and tokens guard everything that follows.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pollflow.errors import ExecutionNotExists, StoreFull, UnreadableRecord
from pollflow.runtime.engine import Engine
from pollflow.runtime.engine_errors import passes, stage
from pollflow.runtime.maintenance import MaintenanceJobs
from pollflow.runtime.oldest_messages import OldestMessages
from pollflow.runtime.routes import Routes
from pollflow.store import (
    ExecutionKey,
    FrameRecord,
    Message,
    MessageKey,
    QueueReader,
    Sent,
    WakeUp,
)

_LIMIT_PER_SHARD = 200

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Sweeps all shards."""

    engine: Engine
    maintenance: MaintenanceJobs
    routes: Routes
    queues: QueueReader
    interval_seconds: float

    def sweep(self, *, at_once: bool = False) -> int:
        """Process the due wake-ups, unless another process has just done so. Return how many it found."""
        if not at_once and not self._may_sweep():
            return 0
        return self.sweep_shards(self.engine.store.due_shards())

    def sweep_shards(self, shards: Sequence[int]) -> int:
        """Process the due wake-ups of these shards. Return how many it found."""
        if not shards:
            return 0
        oldest = OldestMessages(self.queues, self.routes)
        found = 0
        full: StoreFull | None = None
        for shard in shards:
            due = self.engine.store.due(shard, _LIMIT_PER_SHARD)
            found += len(due.members)
            for member in due.members:
                # A wake-up that a full Redis refuses is due again later. The others may be purges, which free memory.
                full = self._serve(member, due.at, oldest) or full
        if full is not None:
            raise full
        return found

    def _may_sweep(self) -> bool:
        try:
            return self.engine.store.acquire_sweep(0.9 * self.interval_seconds)
        except StoreFull:
            # A sweep may free memory. Several sweeps at once do no harm.
            return True

    def _serve(self, member: str, at: float, oldest: OldestMessages) -> StoreFull | None:
        try:
            self._process(WakeUp.parse(member), at, oldest)
        except StoreFull as error:
            return error
        except UnreadableRecord as error:
            logger.warning("a wake-up is left to another worker: %s", error, extra={"member": member})
        except Exception as error:  # one broken entry must not block the others; it is due again later
            if passes(error):
                raise
            self._count(member, error)
        return None

    def _count(self, member: str, error: Exception) -> None:
        """Count an error of the engine, so that the entry is due again after a pause, or its execution ends."""
        try:
            wake_up = WakeUp.parse(member)
            key = wake_up.execution
            if wake_up.frame is not None:
                token = self.engine.reading.token(key.ref, wake_up.frame)
                self.engine.errors.count(MessageKey(key, wake_up.frame, token), error)
                return
            logger.error("a maintenance job failed: %s", error, extra={"member": member}, exc_info=error)
            self.engine.store.count_job_error(key, wake_up.job or "")
        except Exception as problem:
            if passes(problem):
                raise
            logger.error("a wake-up could not be processed: %s", problem, extra={"member": member}, exc_info=error)

    def _process(self, wake_up: WakeUp, at: float, oldest: OldestMessages) -> None:
        ref = wake_up.execution.ref
        if wake_up.job == "deadline":
            self.maintenance.time_out(wake_up.execution)
            return
        try:
            execution = self.engine.reading.execution(ref)
        except ExecutionNotExists:
            execution = None
        if execution is None or execution.key != wake_up.execution:
            self.engine.store.forget(wake_up)
            return
        if wake_up.frame is None:
            self.maintenance.run(execution, wake_up.job or "")
            return
        record = self.engine.reading.frame(ref, wake_up.frame)
        if record is None:
            self.engine.store.forget(wake_up)
        elif record.deadline is not None and record.deadline <= at:
            self.engine.time_out_step(record, execution)
        elif record.kind != "report":
            self._redeliver(execution.key, record, at, oldest)

    def _redeliver(self, key: ExecutionKey, record: FrameRecord, at: float, oldest: OldestMessages) -> None:
        message = Message(
            MessageKey(key, record.frame, record.token),
            record.metadata,
            countdown=max(0.0, record.due - at),
            delivery=record.next_delivery,
        )
        with stage("publication of the message"):
            oldest_in_queue = oldest.sent_at(record.metadata.type) if record.sent else None
            reply = self.engine.store.redeliver(message, record.sent, oldest_in_queue)
            if isinstance(reply, Sent) and reply.unpublished:
                self.engine.publish(message)
        if not isinstance(reply, Sent):
            return
        if record.sent:
            extra = {
                "execution": str(key.ref),
                "frame": record.frame,
                "step": record.metadata.step,
                "sent": record.sent + 1,
            }
            logger.info("redelivered a message", extra=extra)
