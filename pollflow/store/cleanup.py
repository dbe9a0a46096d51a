"""Deletion of ended executions and of their frames, and compaction of old events."""

from __future__ import annotations

from collections.abc import Sequence

from pollflow.machine import Status
from pollflow.store import commands, script_keys
from pollflow.store.compaction import BLOCK, compact
from pollflow.store.core import Core
from pollflow.store.keys import ExecutionKey
from pollflow.store.scripts import translated


class Cleanup(Core):
    """The methods that delete and compact, in slices, so that no other client waits for long."""

    def cleanup(self, key: ExecutionKey, frames: Sequence[str]) -> int:
        """Delete frames of an execution that has ended. Return how many are left, 0 if it runs or is gone."""
        ref = key.ref
        keys = {
            "execution": self.keys.execution(ref),
            "frames": self.keys.frames(ref),
            "wake": self.keys.wake(ref.shard),
            "frame_keys": [k for f in frames for k in (self.keys.frame(ref, f), self.keys.results(ref, f))],
        }
        reply = self._run(commands.Cleanup(execution=key, names=tuple(frames)), keys)
        return reply.left if isinstance(reply, commands.CleanupDone) else 0

    def purge(self, key: ExecutionKey, status: Status, by: str | None = None) -> bool:
        """Delete an ended execution once it has no frames. Return False if it cannot be deleted yet, or is gone.

        `by` is who deletes it, for the audit log; None if its retention is over.
        """
        keys = script_keys.purge_keys(self.keys, key.ref, status)
        return isinstance(self._run(commands.Purge(execution=key, by=by), keys), commands.Done)

    def compact(self, key: ExecutionKey) -> int:
        """Compact the older events of a history, all but the newest block. Return how many blocks were made.

        A process that dies in the middle leaves the events as they were; the next one compacts them. Raises MissingKey
        for events that another process can decode.
        """
        keys = script_keys.history_keys(self.keys, key.ref)
        made = 0
        while True:
            with translated():
                compacted = int(self.client.hget(keys["execution"], "compacted") or 0)
                events = self.client.lrange(keys["history"], 0, BLOCK - 1)
                left = self.client.llen(keys["history"])
            if left < 2 * BLOCK:
                return made
            block = compact(events, self.sealer, key.ref, compacted)
            script = commands.Compact(execution=key, compacted=compacted, count=len(events), block=block)
            if isinstance(self._run(script, keys), commands.Stale):
                return made
            made += 1
