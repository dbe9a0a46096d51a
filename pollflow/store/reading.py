"""What can be asked of the store. Nothing in here changes anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pollflow.errors import ExecutionNotExists
from pollflow.fdl.model import Json, JsonObject
from pollflow.machine import ROOT, Status
from pollflow.store.clock import Clock
from pollflow.store.compaction import BLOCK, expand
from pollflow.store.connection import Connection
from pollflow.store.keys import SHARDS, ExecutionRef, Keys, parent_of
from pollflow.store.records import ExecutionRecord, FrameRecord, StoredEvent
from pollflow.store.scripts import Scripts, translated
from pollflow.store.values import digests_in, load_values, restore

_SLICE = 500


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads executions, frames and histories. Every method may raise StoreUnavailable."""

    client: Connection
    keys: Keys
    clock: Clock
    scripts: Scripts

    def execution(self, ref: ExecutionRef) -> ExecutionRecord:
        """One execution. Raises ExecutionNotExists."""
        with translated():
            fields: dict[str, Any] = self.client.hgetall(self.keys.execution(ref))
        if not fields:
            raise ExecutionNotExists(f"flow {ref.flow!r} has no execution {ref.name!r}")
        return ExecutionRecord.load(ref, fields)

    def frames(self, ref: ExecutionRef, limit: int = _SLICE) -> dict[str, FrameRecord]:
        """Up to `limit` live frames of an execution, by name."""
        records = {frame: self.frame(ref, frame) for frame in self.frame_names(ref, limit)}
        return {frame: record for frame, record in records.items() if record is not None}

    def frame_names(self, ref: ExecutionRef, limit: int = _SLICE) -> list[str]:
        """The names of up to `limit` live frames of an execution."""
        with translated():
            return sorted(self.client.srandmember(self.keys.frames(ref), limit) or [])

    def frame(self, ref: ExecutionRef, frame: str) -> FrameRecord | None:
        """One frame; None if it has ended."""
        with translated():
            fields: dict[str, str] = self.client.hgetall(self.keys.frame(ref, frame))
            parent: dict[str, str] = {}
            if fields and frame != ROOT:
                parent = self.client.hgetall(self.keys.frame(ref, parent_of(frame)[0]))
        return FrameRecord.load(frame, fields, parent) if fields else None

    def cancellations(self, ref: ExecutionRef) -> set[str]:
        """The task tokens of the steps that have given the execution up as a sub-flow."""
        with translated():
            return set(self.client.smembers(self.keys.cancellations(ref)))

    def results(self, ref: ExecutionRef, frame: str) -> tuple[JsonObject, ...]:
        """The locals of a joining frame's ended children, by index."""
        found: dict[int, JsonObject] = {}
        with translated():
            for index, text in self.client.hscan_iter(self.keys.results(ref, frame), count=_SLICE):
                found[int(index)] = json.loads(text)
        return tuple(found[index] for index in sorted(found))

    def history(self, ref: ExecutionRef, after: int = 0, limit: int = _SLICE) -> list[StoredEvent]:
        """Up to `limit` events whose ids are greater than `after`."""
        keys = (self.keys.execution(ref), self.keys.history(ref), self.keys.blocks(ref))
        before, count, *texts = self.scripts.run("history", keys, [after, limit, BLOCK])
        blocks, newer = texts[:count], texts[count:]
        unpacked = [*(text for block in blocks for text in expand(block)), *newer]
        wanted = unpacked[after - before : after - before + limit]
        events = [StoredEvent.load(after + position, text) for position, text in enumerate(wanted, start=1)]
        values = self._values(ref, digests_in(event.detail for event in events))
        return [replace(event, detail=restore(event.detail, values.__getitem__)) for event in events]

    def _values(self, ref: ExecutionRef, digests: set[str]) -> dict[str, Json]:
        if not digests:
            return {}
        wanted = sorted(digests)
        with translated():
            texts = self.client.hmget(self.keys.values(ref), wanted)
        return load_values(dict(zip(wanted, texts, strict=True)))

    def whole_history(self, ref: ExecutionRef, after: int = 0) -> Iterator[StoredEvent]:
        """All events whose ids are greater than `after`, read in slices."""
        while events := self.history(ref, after):
            yield from events
            after = events[-1].id

    def executions(
        self, *, flow: str | None, status: Status | None, limit: int, before: float | None = None
    ) -> list[ExecutionRecord]:
        """Up to `limit` executions, the latest start first; only those that started before `before`, if given."""
        top = "+inf" if before is None else f"({before!r}"
        with translated():
            pipe = self.client.pipeline(transaction=False)
            for shard in range(SHARDS):
                pipe.zrevrangebyscore(
                    self.keys.index(shard, flow, status), top, "-inf", start=0, num=limit, withscores=True
                )
            found = sorted((pair for pairs in pipe.execute() for pair in pairs), key=lambda pair: -pair[1])
            refs = [ExecutionRef.parse(text) for text, _ in found[:limit]]
            for ref in refs:
                pipe.hgetall(self.keys.execution(ref))
            records = zip(refs, pipe.execute(), strict=True)
        return [ExecutionRecord.load(ref, fields) for ref, fields in records if fields]

    def count(self, *, flow: str | None, status: Status | None) -> int:
        """How many executions there are."""
        with translated():
            pipe = self.client.pipeline(transaction=False)
            for shard in range(SHARDS):
                pipe.zcard(self.keys.index(shard, flow, status))
            return sum(pipe.execute())

    def now(self) -> float:
        """The moment now by Redis' clock, epoch seconds."""
        with translated():
            return self.clock.read(self.client)
