"""The sweep: processes the wake-ups that are due.

It handles lost messages, long waits, dead workers and timeouts alike. Any number of processes may sweep: a script gives
each due wake-up to one of them, and tokens guard everything that follows. Messages are published in slices, so that
thousands of waits that are due together need few round trips.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pollflow.errors import ExecutionNotExists, StoreFull, StoreUnavailable, UnreadableRecord
from pollflow.runtime.engine import Engine
from pollflow.runtime.engine_errors import passes, stage
from pollflow.runtime.maintenance import MaintenanceJobs
from pollflow.runtime.oldest_messages import OldestMessages
from pollflow.runtime.routes import Routes
from pollflow.store import DueEntry, MessageKey, QueueReader, Redelivery, Sent, StoredEntry, WakeUp

_SLICE = 200
"""The wake-ups of one shard that are taken at once."""
_MAX_ROUNDS = 10
"""How often a sweep takes a slice of each shard, so that it ends if wake-ups are due again at once."""
_PUBLICATION = "publication of the message"

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class _Slice:
    """Wake-ups that were taken together, at the time `at` by Redis' clock and `taken_at` by that of this process."""

    at: float
    taken_at: float
    oldest: OldestMessages
    publications: list[tuple[DueEntry, float, Redelivery]] = field(default_factory=list)

    def left(self, due: float) -> float:
        """Return the seconds from now until `due`, 0 if it has passed."""
        return max(0.0, due - self.at - (time.monotonic() - self.taken_at)) if due > self.at else 0.0


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
        found = 0
        full: list[StoreFull] = []
        for _ in range(_MAX_ROUNDS):
            oldest, rest = OldestMessages(self.queues, self.routes), []
            for shard in shards:
                count = self._sweep_slice(shard, oldest, full)
                found += count
                if count == _SLICE:
                    rest.append(shard)
            shards = rest
        if full:
            raise full[-1]
        return found

    def _may_sweep(self) -> bool:
        try:
            return self.engine.store.acquire_sweep(0.9 * self.interval_seconds)
        except StoreFull:
            # A sweep may free memory. Several sweeps at once do no harm.
            return True

    def _sweep_slice(self, shard: int, oldest: OldestMessages, full: list[StoreFull]) -> int:
        due = self.engine.store.due(shard, _SLICE)
        part = _Slice(due.at, time.monotonic(), oldest)
        frames: list[WakeUp] = []
        jobs: list[WakeUp] = []
        for member in due.members:
            with self._handling(member, full):
                wake_up = WakeUp.parse(member)
                (jobs if wake_up.frame is None else frames).append(wake_up)
        self._sweep_frames(frames, part, full)
        for wake_up in jobs:
            with self._handling(str(wake_up), full):
                self._run_job(wake_up)
        return len(due.members)

    def _sweep_frames(self, wake_ups: Sequence[WakeUp], part: _Slice, full: list[StoreFull]) -> None:
        """Process wake-ups of frames: two round trips, and some for each timeout of a step."""
        for stored in self.engine.reading.due_entries(wake_ups):
            with self._handling(str(stored.wake_up), full):
                self._process(stored, part)
        replies = self.engine.store.redeliver_all([redelivery for _, _, redelivery in part.publications])
        for (entry, countdown, _), reply in zip(part.publications, replies, strict=True):
            with self._handling(str(WakeUp(entry.key.execution, entry.key.frame)), full), stage(_PUBLICATION):
                if isinstance(reply, StoreUnavailable):
                    raise reply
                if isinstance(reply, Sent):
                    self._published(entry, countdown, reply)

    @contextmanager
    def _handling(self, member: str, full: list[StoreFull]) -> Iterator[None]:
        """Keep an error of one wake-up from the others; it is due again later. Raise if Redis cannot serve.

        A wake-up that a full Redis refuses is added to `full`. The others may be purges, which free memory.
        """
        try:
            yield
        except StoreFull as error:
            full.append(error)
        except UnreadableRecord as error:
            logger.warning("a wake-up is left to another worker: %s", error, extra={"member": member})
        except Exception as error:
            if passes(error):
                raise
            self._count(member, error)

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

    def _run_job(self, wake_up: WakeUp) -> None:
        if wake_up.job == "deadline":
            self.maintenance.time_out(wake_up.execution)
            return
        try:
            execution = self.engine.reading.execution(wake_up.execution.ref)
        except ExecutionNotExists:
            execution = None
        if execution is None or execution.key != wake_up.execution:
            self.engine.store.forget(wake_up)
        else:
            self.maintenance.run(execution, wake_up.job or "")

    def _process(self, stored: StoredEntry, part: _Slice) -> None:
        entry = stored.load()
        if entry is None:
            self.engine.store.forget(stored.wake_up)
        elif entry.deadline is not None and entry.deadline <= part.at:
            self._time_out(entry)
        elif entry.kind != "report":
            countdown = part.left(entry.due)
            with stage(_PUBLICATION):
                oldest = part.oldest.sent_at(entry.metadata.type) if entry.sent else None
                redelivery = self.engine.store.redelivery(entry.message(countdown), entry.sent, oldest)
            part.publications.append((entry, countdown, redelivery))

    def _time_out(self, entry: DueEntry) -> None:
        ref = entry.key.ref
        execution, record = self.engine.reading.execution(ref), self.engine.reading.frame(ref, entry.key.frame)
        # The entry may have ended since it was read.
        if record is not None and (execution.key, record.token) == (entry.key.execution, entry.key.token):
            self.engine.time_out_step(record, execution)

    def _published(self, entry: DueEntry, countdown: float, reply: Sent) -> None:
        if reply.unpublished:
            self.engine.publish(entry.message(countdown))
        if entry.sent:
            extra = {
                "execution": str(entry.key.ref),
                "frame": entry.key.frame,
                "step": entry.metadata.step,
                "sent": entry.sent + 1,
            }
            logger.info("redelivered a message", extra=extra)
