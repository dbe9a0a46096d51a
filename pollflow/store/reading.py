"""Read access to executions, frames and histories. This module changes nothing in Redis."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from pollflow.errors import DamagedRecord, ExecutionNotExists
from pollflow.fdl.model import JsonObject
from pollflow.machine import Status
from pollflow.store.clock import Clock
from pollflow.store.codec import CLEAR, RESULT, VALUE, Sealer
from pollflow.store.compaction import BLOCK, expand
from pollflow.store.connection import Connection
from pollflow.store.due_entries import StoredEntry, read_entries
from pollflow.store.history_page import read_page
from pollflow.store.keys import SHARDS, ExecutionKey, ExecutionRef, Keys, WakeUp
from pollflow.store.records import (
    ExecutionRecord,
    FrameRecord,
    OutboxEntry,
    ParentLink,
    Snapshot,
    StoredEvent,
    damaged,
)
from pollflow.store.scripts import translated
from pollflow.store.state import load_json
from pollflow.store.values import digests_in, restore

_SLICE = 500
_MORE = 8
"""Refs of each index that are read beyond twice its share, since few refs are not spread evenly."""

logger = logging.getLogger("pollflow")


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads executions, frames and histories. Every method may raise StoreUnavailable."""

    client: Connection
    keys: Keys
    clock: Clock
    sealer: Sealer = CLEAR

    def execution(self, ref: ExecutionRef) -> ExecutionRecord:
        """Return one execution. Raises ExecutionNotExists."""
        fields = self._hash(self.keys.execution(ref))
        if not fields:
            raise ExecutionNotExists(f'execution "{ref}" does not exist')
        return ExecutionRecord.load(ref, fields, self.sealer)

    def snapshots(self, refs: Sequence[ExecutionRef], limit: int = _SLICE) -> tuple[float, list[Snapshot]]:
        """Return the time by Redis' clock, and executions with up to `limit` live frames each, in two round trips.

        Executions that do not exist, or whose identity or status is damaged, are left out.
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
            hashes = {frame: next(fields) for frame in frames}
            if execution:
                try:
                    snapshots.append(_snapshot(ref, execution, hashes, self.sealer))
                except DamagedRecord as error:  # the others are shown
                    logger.warning("%s", error)
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
        fields = self._hash(self.keys.frame(ref, frame))
        return FrameRecord.load(ref, frame, fields, self.sealer) if fields else None

    def token(self, ref: ExecutionRef, frame: str) -> str:
        """Return the token of a frame whose record may be broken; empty without one."""
        with translated():
            return self.client.hget(self.keys.frame(ref, frame), "token") or ""

    def time_limit(self, ref: ExecutionRef) -> float | None:
        """Return how long an execution may run, in seconds; None if that is not stored."""
        with translated():
            text: str | None = self.client.hget(self.keys.execution(ref), "time_limit")
        return float(text) if text else None

    def prefetched(self, frames: Sequence[tuple[ExecutionRef, str]]) -> Reading:
        """Return a reader that has read these executions and frames already, in one round trip."""
        names = [key for ref, frame in frames for key in (self.keys.execution(ref), self.keys.frame(ref, frame))]
        with translated():
            pipe = self.client.pipeline(transaction=False)
            for name in names:
                pipe.hgetall(name)
            found = pipe.execute() if names else []
        hashes = dict(zip(names, found, strict=True))
        return _Prefetched(self.client, self.keys, self.clock, self.sealer, hashes=hashes)

    def due_entries(self, wake_ups: Sequence[WakeUp]) -> list[StoredEntry]:
        """Return what the sweep needs of these frames, in the same order; one round trip."""
        return read_entries(self.client, self.keys, wake_ups)

    def parent_links(self, ref: ExecutionRef) -> tuple[ParentLink, ...]:
        """Return the steps that wait for the end of an execution."""
        with translated():
            found: dict[str, str] = self.client.hgetall(self.keys.parents(ref))
        return tuple(ParentLink(token, flag[:1] == "1", flag[1:] == "n") for token, flag in sorted(found.items()))

    def outbox(self, ref: ExecutionRef) -> tuple[OutboxEntry, ...]:
        """Return the sub-executions that an execution still has to stop."""
        with translated():
            found: dict[str, str] = self.client.hgetall(self.keys.outbox(ref))
        return tuple(OutboxEntry(ExecutionRef.parse(sub), token) for token, sub in sorted(found.items()))

    def cancellations(self, ref: ExecutionRef) -> set[str]:
        """Return the task tokens of the steps that no longer want the execution as a sub-flow."""
        with translated():
            return set(self.client.smembers(self.keys.cancellations(ref)))

    def results(self, ref: ExecutionRef, frame: str, max_bytes: int) -> tuple[JsonObject, ...] | None:
        """Return the locals of a map step's ended children, by index; None if they exceed `max_bytes` together.

        Raises MissingKey, DamagedRecord.
        """
        found: dict[int, JsonObject] = {}
        left = max_bytes
        with translated():
            for index, text in self.client.hscan_iter(self.keys.results(ref, frame), count=_SLICE):
                opened = self.sealer.open(ref, RESULT, text, f"{frame}/{index}")
                left -= 0 if int(index) in found else len(opened)  # a scan may return a field twice
                if left < 0:
                    return None
                found[int(index)] = load_json(opened)
        return tuple(found[index] for index in sorted(found))

    def history(self, key: ExecutionKey, after: int = 0, limit: int = _SLICE) -> list[StoredEvent]:
        """Return up to `limit` events whose ids are greater than `after`. Raises ExecutionNotExists, DamagedRecord."""
        ref = key.ref
        try:
            stored = read_page(self.client, self.keys, key, after, limit)
            if stored is None:
                raise ExecutionNotExists(f'execution "{ref}" no longer exists')
            blocks = (
                expand(block, self.sealer, ref, stored.first + position * BLOCK)
                for position, block in enumerate(stored.blocks)
            )
            texts = [*(text for block in blocks for text in block), *stored.events]
        except (ValueError, zlib.error) as error:
            raise damaged(ref, f"history after event {after}", error) from error
        page = texts[after - stored.first : after - stored.first + limit]
        events = [_event(ref, after + position, text, self.sealer) for position, text in enumerate(page, start=1)]
        values = self._values(ref, digests_in(event.detail for event in events))
        return [_restored(ref, event, values) for event in events]

    def _values(self, ref: ExecutionRef, digests: set[str]) -> dict[str, str]:
        if not digests:
            return {}
        names = sorted(digests)
        with translated():
            texts = self.client.hmget(self.keys.values(ref), names)
        found = {digest: text for digest, text in zip(names, texts, strict=True) if text is not None}
        return {digest: self.sealer.open(ref, VALUE, text, digest) for digest, text in found.items()}

    def whole_history(self, key: ExecutionKey, after: int = 0) -> Iterator[StoredEvent]:
        """Yield all events whose ids are greater than `after`, read in slices."""
        while True:
            events = self.history(key, after)
            yield from events
            if len(events) < _SLICE:
                return
            after = events[-1].id

    def refs(
        self,
        *,
        flow: str | Sequence[str] | None,
        status: Status | Sequence[Status] | None,
        limit: int,
        before: float | None = None,
    ) -> list[ExecutionRef]:
        """Return up to `limit` refs of executions, the latest start first; only those that started before `before`.

        Of several flows or statuses any may apply; no value and an empty list stand for all.
        """
        top = "+inf" if before is None else f"({before!r}"
        flows = (flow,) if flow is None or isinstance(flow, str) else (flow or (None,))
        statuses = (status,) if status is None or isinstance(status, Status) else (status or (None,))
        left = [self.keys.index(*each) for each in product(range(SHARDS), flows, statuses)]
        # Refs are spread evenly over the shards: one with more of the latest than twice its share is read again.
        share = min(limit, 2 * -(-limit // SHARDS) + _MORE)
        starts: dict[str, float] = {}
        while left:
            parts = self._index_parts(left, top, share)
            # An execution that ends between two reads is in two indexes.
            starts.update(pair for part in parts for pair in part)
            latest = sorted(starts, key=lambda text: -starts[text])[:limit]
            last = starts[latest[-1]] if latest else 0.0
            left = [key for key, part in zip(left, parts, strict=True) if _may_have_more(part, share, limit, last)]
            share = limit
        return [ExecutionRef.parse(text) for text in latest]

    def _index_parts(self, keys: Sequence[str], top: str, limit: int) -> list[list[tuple[str, float]]]:
        """Return up to `limit` refs with their start of each index, the latest first."""
        with translated():
            pipe = self.client.pipeline(transaction=False)
            for key in keys:
                pipe.zrevrangebyscore(key, top, "-inf", start=0, num=limit, withscores=True)
            parts: list[list[tuple[str, float]]] = pipe.execute()
        return parts

    def executions(
        self, *, flow: str | None, status: Status | None, limit: int, before: float | None = None
    ) -> list[ExecutionRecord]:
        """Return up to `limit` executions, the latest start first; only those that started before `before`."""
        _, found = self.snapshots(self.refs(flow=flow, status=status, limit=limit, before=before))
        return [snapshot.execution for snapshot in found]

    def _hash(self, key: str) -> dict[str, str]:
        with translated():
            return self.client.hgetall(key) or {}

    def now(self) -> float:
        """Return the current time by Redis' clock, in epoch seconds."""
        with translated():
            return self.clock.read(self.client)


def _may_have_more(part: Sequence[tuple[str, float]], read: int, limit: int, last: float) -> bool:
    """Return whether an index of which `read` refs were read may have more of the latest, which end at `last`."""
    return read < limit and len(part) == read and part[-1][1] >= last


@dataclass(frozen=True, slots=True)
class _Prefetched(Reading):
    """A reader of hashes that were read before, by key."""

    hashes: dict[str, dict[str, str]] = field(kw_only=True)

    def _hash(self, key: str) -> dict[str, str]:
        # The arguments of `super` do not work in a dataclass with slots.
        return self.hashes[key] if key in self.hashes else Reading._hash(self, key)


def _snapshot(ref: ExecutionRef, fields: dict[str, str], frames: dict[str, dict[str, str]], sealer: Sealer) -> Snapshot:
    """Return an execution with those of its frames that can be decoded. Raises DamagedRecord."""
    execution, names = ExecutionRecord.load_readable(ref, fields, sealer)
    records, problems = [], list(names)
    for frame, hash in frames.items():
        try:
            records += [FrameRecord.load(ref, frame, hash, sealer)] if hash else []
        except (ValueError, KeyError, TypeError):
            problems.append(f"frame {frame}")
    return Snapshot(execution, tuple(records), tuple(problems))


def _event(ref: ExecutionRef, number: int, text: str, sealer: Sealer) -> StoredEvent:
    try:
        return StoredEvent.load(number, text, sealer, ref)
    except (ValueError, TypeError) as error:
        raise damaged(ref, f"event {number}", error) from error


def _restored(ref: ExecutionRef, event: StoredEvent, values: dict[str, str]) -> StoredEvent:
    """Return the event with long values of its own, since callers may change them."""
    try:
        return replace(event, detail=restore(event.detail, lambda digest: load_json(values[digest])))
    except (ValueError, KeyError) as error:
        raise damaged(ref, f"detail of event {event.id}", error) from error
