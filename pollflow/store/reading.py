"""Read access to executions, frames and histories. This module changes nothing in Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pollflow.errors import ExecutionNotExists
from pollflow.fdl.model import JsonObject
from pollflow.machine import Status
from pollflow.store import commands, script_keys
from pollflow.store.clock import Clock
from pollflow.store.compaction import BLOCK, expand
from pollflow.store.connection import Connection
from pollflow.store.keys import SHARDS, ExecutionKey, ExecutionRef, Keys
from pollflow.store.records import ExecutionRecord, FrameRecord, OutboxEntry, ParentLink, Snapshot, StoredEvent
from pollflow.store.scripts import Scripts, translated
from pollflow.store.values import digests_in, restore

_SLICE = 500


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads executions, frames and histories. Every method may raise StoreUnavailable."""

    client: Connection
    keys: Keys
    clock: Clock
    scripts: Scripts

    def execution(self, ref: ExecutionRef) -> ExecutionRecord:
        """Return one execution. Raises ExecutionNotExists."""
        with translated():
            fields: dict[str, str] = self.client.hgetall(self.keys.execution(ref))
        if not fields:
            raise ExecutionNotExists(f'execution "{ref}" does not exist')
        return ExecutionRecord.load(ref, fields)

    def snapshots(self, refs: Sequence[ExecutionRef], limit: int = _SLICE) -> tuple[float, list[Snapshot]]:
        """Return the time by Redis' clock, and executions with up to `limit` live frames each, in two round trips.

        Executions that do not exist are left out.
        """
        with translated():
            pipe = self.client.pipeline(transaction=False)
            for ref in refs:
                pipe.hgetall(self.keys.execution(ref))
                pipe.srandmember(self.keys.frames(ref), limit)
            pipe.time()
            *found, time = pipe.execute()
            names = [sorted(frames or []) for frames in found[1::2]]
            for ref, frames in zip(refs, names, strict=True):
                for frame in frames:
                    pipe.hgetall(self.keys.frame(ref, frame))
            fields = iter(pipe.execute())
        snapshots = []
        for ref, execution, frames in zip(refs, found[::2], names, strict=True):
            records = [FrameRecord.load(frame, hash) for frame in frames if (hash := next(fields))]
            if execution:
                snapshots.append(Snapshot(ExecutionRecord.load(ref, execution), tuple(records)))
        return self.clock.time_of(time), snapshots

    def frames(self, ref: ExecutionRef, limit: int = _SLICE) -> dict[str, FrameRecord]:
        """Return up to `limit` live frames of an execution, by name."""
        records = {frame: self.frame(ref, frame) for frame in self.frame_names(ref, limit)}
        return {frame: record for frame, record in records.items() if record is not None}

    def frame_names(self, ref: ExecutionRef, limit: int = _SLICE) -> list[str]:
        """Return the names of up to `limit` live frames of an execution."""
        with translated():
            return sorted(self.client.srandmember(self.keys.frames(ref), limit) or [])

    def frame(self, ref: ExecutionRef, frame: str) -> FrameRecord | None:
        """Return one frame; None if it has ended."""
        with translated():
            fields: dict[str, str] = self.client.hgetall(self.keys.frame(ref, frame))
        return FrameRecord.load(frame, fields) if fields else None

    def parent_links(self, ref: ExecutionRef) -> tuple[ParentLink, ...]:
        """Return the steps that wait for the end of an execution."""
        with translated():
            found: dict[str, str] = self.client.hgetall(self.keys.parents(ref))
        return tuple(ParentLink(token, flag == "1") for token, flag in sorted(found.items()))

    def outbox(self, ref: ExecutionRef) -> tuple[OutboxEntry, ...]:
        """Return the sub-executions that an execution still has to stop."""
        with translated():
            found: dict[str, str] = self.client.hgetall(self.keys.outbox(ref))
        return tuple(OutboxEntry(ExecutionRef.parse(sub), token) for token, sub in sorted(found.items()))

    def cancellations(self, ref: ExecutionRef) -> set[str]:
        """Return the task tokens of the steps that no longer want the execution as a sub-flow."""
        with translated():
            return set(self.client.smembers(self.keys.cancellations(ref)))

    def results(self, ref: ExecutionRef, frame: str) -> tuple[JsonObject, ...]:
        """Return the locals of a map step's ended children, by index."""
        found: dict[int, JsonObject] = {}
        with translated():
            for index, text in self.client.hscan_iter(self.keys.results(ref, frame), count=_SLICE):
                found[int(index)] = json.loads(text)
        return tuple(found[index] for index in sorted(found))

    def history(self, key: ExecutionKey, after: int = 0, limit: int = _SLICE) -> list[StoredEvent]:
        """Return up to `limit` events whose ids are greater than `after`. Raises ExecutionNotExists."""
        ref = key.ref
        keys = script_keys.history_keys(self.keys, ref)
        script = commands.History(execution=key, after=after, limit=limit, block_size=BLOCK)
        reply = self.scripts.run(script, keys)
        if isinstance(reply, commands.Gone):
            raise ExecutionNotExists(f'execution "{ref}" no longer exists')
        texts = [*(text for block in reply.blocks for text in expand(block)), *reply.events]
        page = texts[after - reply.first : after - reply.first + limit]
        events = [StoredEvent.load(after + position, text) for position, text in enumerate(page, start=1)]
        values = self._values(ref, digests_in(event.detail for event in events))
        # Each event gets values of its own, since callers may change them.
        return [replace(event, detail=restore(event.detail, lambda d: json.loads(values[d]))) for event in events]

    def _values(self, ref: ExecutionRef, digests: set[str]) -> dict[str, str]:
        if not digests:
            return {}
        names = sorted(digests)
        with translated():
            texts = self.client.hmget(self.keys.values(ref), names)
        return {digest: text for digest, text in zip(names, texts, strict=True) if text is not None}

    def whole_history(self, key: ExecutionKey, after: int = 0) -> Iterator[StoredEvent]:
        """Yield all events whose ids are greater than `after`, read in slices."""
        while events := self.history(key, after):
            yield from events
            after = events[-1].id

    def refs(
        self, *, flow: str | None, status: Status | None, limit: int, before: float | None = None
    ) -> list[ExecutionRef]:
        """Return up to `limit` refs of executions, the latest start first; only those that started before `before`."""
        top = "+inf" if before is None else f"({before!r}"
        with translated():
            pipe = self.client.pipeline(transaction=False)
            for shard in range(SHARDS):
                pipe.zrevrangebyscore(
                    self.keys.index(shard, flow, status), top, "-inf", start=0, num=limit, withscores=True
                )
            found = sorted((pair for pairs in pipe.execute() for pair in pairs), key=lambda pair: -pair[1])
        return [ExecutionRef.parse(text) for text, _ in found[:limit]]

    def executions(
        self, *, flow: str | None, status: Status | None, limit: int, before: float | None = None
    ) -> list[ExecutionRecord]:
        """Return up to `limit` executions, the latest start first; only those that started before `before`."""
        _, found = self.snapshots(self.refs(flow=flow, status=status, limit=limit, before=before))
        return [snapshot.execution for snapshot in found]

    def now(self) -> float:
        """Return the current time by Redis' clock, in epoch seconds."""
        with translated():
            return self.clock.read(self.client)
