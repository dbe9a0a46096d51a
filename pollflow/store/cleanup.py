"""Making room: frames of what has ended, ended executions, and old events packed into blocks."""

from __future__ import annotations

from collections.abc import Sequence

from pollflow.machine import Status
from pollflow.store import keys as names
from pollflow.store.compaction import BLOCK, compact
from pollflow.store.core import Core
from pollflow.store.keys import ExecutionRef
from pollflow.store.scripts import Argument, translated


class Cleaning(Core):
    """The verbs that delete and pack, each in slices, so that nobody else waits for long."""

    def cleanup(self, ref: ExecutionRef, execution_id: str, frames: Sequence[str]) -> int:
        """Deletes frames of the execution of that id, which has ended; how many others are left, -1 if it runs."""
        doomed = [key for f in frames for key in (self.keys.frame(ref, f), self.keys.results(ref, f))]
        args: list[Argument] = [execution_id, names.job(ref, "tidy"), len(frames)]
        for frame in frames:
            args += [frame, names.member(ref, frame)]
        keys = (self.keys.execution(ref), self.keys.frames(ref), self.keys.wake(ref.shard), *doomed)
        return int(self._run("cleanup", keys, args))

    def purge(self, ref: ExecutionRef, execution_id: str, status: Status) -> bool:
        """Deletes an ended execution, once it has no frames. False if it may not go yet, or is gone."""
        indexes = (*self.keys.lasting_indexes(ref), *self.keys.indexes(ref, status))
        keys = (
            self.keys.execution(ref),
            self.keys.history(ref),
            self.keys.values(ref),
            self.keys.blocks(ref),
            self.keys.frames(ref),
            self.keys.cancellations(ref),
            self.keys.wake(ref.shard),
            *indexes,
        )
        maintenance = [names.job(ref, name) for name in ("tidy", "purge", "deadline", "orphan", "errand")]
        return bool(self._run("purge", keys, [str(ref), execution_id, *maintenance]))

    def compact(self, ref: ExecutionRef) -> int:
        """Packs the older events of a history, all but the newest block's worth; how many blocks were made.

        Whoever dies in the middle leaves them as they were, and the next one packs them.
        """
        keys = (self.keys.execution(ref), self.keys.history(ref), self.keys.blocks(ref))
        made = 0
        while True:
            with translated():
                packed = self.client.hget(keys[0], "packed") or "0"
                events = self.client.lrange(keys[1], 0, BLOCK - 1)
                left = self.client.llen(keys[1])
            if left < 2 * BLOCK or not self._run("compact", keys, [packed, len(events), compact(events)]):
                return made
            made += 1
