"""Key rotation: stored data is rewritten with the current key of the codec, in slices.

A record says which key it is encoded with, so a rotation that was interrupted continues where records have another key.
Each slice is one script that replaces only what has not changed since it was read: a commit at the same time wins, and
it has used the current key of its worker.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from pollflow.errors import ConfigurationError, DamagedRecord, MissingKey
from pollflow.store import commands
from pollflow.store.codec import CAUSE, INPUT, OUTPUT, RESULT, STATE, VALUE, AbsentCodec, key_id_of
from pollflow.store.compaction import BLOCK, compact, expand
from pollflow.store.core import Core
from pollflow.store.encode import layout_of
from pollflow.store.keys import SHARDS, ExecutionKey, ExecutionRef
from pollflow.store.scripts import translated
from pollflow.store.state import load_json
from pollflow.store.values import resealed_event

_SLICE = 50
"""Records in a script, so that no other client waits for long."""
CLEAR_KEY = "clear"
"""Stands for the key id of records that are not encoded."""

_Reseal = Callable[[str, str], str | None]
"""Returns the new text of a field or element by its name and text; None if the text needs no change."""


@dataclass(slots=True)
class Rotated:
    """What a rotation did in an execution: records that it rewrote, by their key before, and those that it left."""

    ref: ExecutionRef
    rewritten: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    """Why records cannot be decoded, so that they were left."""
    left: int = 0
    """Records that changed at the same time, so that they were left as they are."""


class Rotation(Core):
    """The methods that rewrite stored data with the current key."""

    def all_executions(self) -> Iterator[ExecutionRef]:
        """Yield the refs of all executions."""
        for shard in range(SHARDS):
            with translated():
                texts = self.client.zrange(self.keys.index(shard, None, None), 0, -1)
            yield from map(ExecutionRef.parse, texts)

    def check_codec(self) -> None:
        """Raise ConfigurationError unless this process has a codec to rewrite data with."""
        if self.sealer.codec is None or isinstance(self.sealer.codec, AbsentCodec):
            raise ConfigurationError(
                "this process has no codec to rewrite data with; use the app with its pollflow_codec: -A MODULE[:NAME]"
            )

    def rotate(self, ref: ExecutionRef, *, is_dry: bool = False) -> Rotated:
        """Rewrite the data of an execution with the current key; `is_dry`: only count them.

        Raises ConfigurationError without a codec, CodecError, StoreUnavailable.
        """
        self.check_codec()
        rotated = Rotated(ref)
        with translated():
            id, incarnation = self.client.hmget(self.keys.execution(ref), "id", "incarnation")
        if id is None:
            return rotated
        try:
            work = _Work(self, ExecutionKey(ref, id, int(incarnation)), rotated, is_dry)
        except (ValueError, TypeError):  # one damaged execution must not keep the others under the old key
            rotated.problems.append(f'execution "{ref}" is damaged: its incarnation is no number')
            return rotated
        with translated():
            work.rewrite_execution()
            work.rewrite_frames()
            work.rewrite_lists()
        return rotated


@dataclass(frozen=True, slots=True)
class _Work:
    """The rotation of one execution."""

    store: Core
    key: ExecutionKey
    rotated: Rotated
    is_dry: bool

    def rewrite_execution(self) -> None:
        client, keys, ref = self.store.client, self.store.keys, self.key.ref
        names = (INPUT, OUTPUT, CAUSE)
        texts = zip(names, client.hmget(keys.execution(ref), names), strict=True)
        present = ((name, text) for name, text in texts if text is not None)
        self._rewrite(keys.execution(ref), present, lambda name, text: self._resealed(name, "", text))
        self._rewrite(
            keys.values(ref),
            client.hscan_iter(keys.values(ref), count=_SLICE),
            partial(self._resealed, VALUE),
        )

    def rewrite_lists(self) -> None:
        keys, ref, sealer = self.store.keys, self.key.ref, self.store.sealer

        def block(name: str, text: str) -> str | None:
            before = int(name) * BLOCK
            return compact(expand(text, sealer, ref, before), sealer, ref, before) if sealer.needs_seal(text) else None

        # Events first: compaction moves them into blocks, under the current key.
        history, blocks = keys.history(ref), keys.blocks(ref)
        self._rewrite(history, self._elements(history), lambda _, text: resealed_event(text, sealer, ref), is_list=True)
        self._rewrite(blocks, self._elements(blocks), block, is_list=True)

    def rewrite_frames(self) -> None:
        client, keys, ref = self.store.client, self.store.keys, self.key.ref
        for frame in client.smembers(keys.frames(ref)):
            self._rewrite_frame(frame)
            results = client.hscan_iter(keys.results(ref, frame), count=_SLICE)
            self._rewrite(keys.results(ref, frame), results, partial(self._resealed_result, frame))

    def _rewrite_frame(self, frame: str) -> None:
        key = self.store.keys.frame(self.key.ref, frame)
        state = self.store.client.hget(key, "state")
        if state is not None:
            layout = layout_of(self.store.sealer)
            self._rewrite(key, [(frame, state)], partial(self._resealed, STATE), field="state", layout=layout)

    def _elements(self, key: str) -> Iterator[tuple[str, str]]:
        start = 0
        while texts := self.store.client.lrange(key, start, start + _SLICE - 1):
            yield from ((str(start + position), text) for position, text in enumerate(texts))
            start += len(texts)

    def _resealed_result(self, frame: str, index: str, text: str) -> str | None:
        return self._resealed(RESULT, f"{frame}/{index}", text)

    def _resealed(self, kind: str, place: str, text: str) -> str | None:
        sealer, ref = self.store.sealer, self.key.ref
        if not sealer.needs_seal(text):
            return None
        return sealer.seal(ref, kind, sealer.open(ref, kind, text, place), place)

    def _rewrite(
        self,
        target: str,
        texts: Iterable[tuple[str, str]],
        reseal: _Reseal,
        *,
        is_list: bool = False,
        field: str | None = None,
        layout: int | None = None,
    ) -> None:
        """Rewrite texts by name. `field`: the field of the hash, if it is not the name."""
        left = iter(texts)
        while found := list(islice(left, _SLICE)):
            changes = tuple(
                commands.Change(field or name, before, after, layout)
                for name, before, after in self._changes(found, reseal)
            )
            if self.is_dry or not changes:
                continue
            script = commands.Reseal(execution=self.key, is_list=is_list, changes=changes)
            keys = {"execution": self.store.keys.execution(self.key.ref), "target": target}
            reply = self.store.scripts.run(script, keys)
            self.rotated.left += len(changes) - (reply.count if isinstance(reply, commands.ResealDone) else 0)

    def _changes(self, texts: Iterable[tuple[str, str]], reseal: _Reseal) -> Iterator[tuple[str, str, str]]:
        for name, before in texts:
            try:
                after = reseal(name, before)
            except (MissingKey, DamagedRecord) as error:
                self.rotated.problems.append(str(error))
                continue
            except (ValueError, TypeError, zlib.error) as error:
                self.rotated.problems.append(f'a record of execution "{self.key.ref}" is damaged: {error}')
                continue
            if after is not None:
                self.rotated.rewritten[_key_before(before)] += 1
                yield name, before, after


def _key_before(text: str) -> str:
    """Return the key id of a text, or of the detail of a stored event."""
    if text.startswith("["):
        detail = load_json(text)[2][2]
        text = detail if isinstance(detail, str) else ""
    return key_id_of(text) or CLEAR_KEY
