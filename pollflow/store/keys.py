"""Every key of pollflow in Redis, once: its name, type, meaning and lifetime. `docs/redis.md` is compared with this.

All keys of one execution share the hash tag of its shard, so that a script may touch them together, in a cluster too.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from pollflow.machine import ROOT, Status

SHARDS = 16
"""Fixed: an execution's shard is part of its keys' names."""

_DUTY = "!"


@dataclass(frozen=True, slots=True)
class ExecutionRef:
    """Which execution: the name of its flow, and its name within the flow."""

    flow: str
    name: str

    def __str__(self) -> str:
        return f"{self.flow}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ExecutionRef:
        """The ref that `str` wrote; names hold no slash."""
        flow, _, name = text.partition("/")
        return cls(flow, name)

    @property
    def shard(self) -> int:
        """Which shard holds all its keys."""
        return zlib.crc32(str(self).encode()) % SHARDS


@dataclass(frozen=True, slots=True)
class Keys:
    """The names, under one prefix."""

    prefix: str = "pollflow"

    def _of(self, shard: int, kind: str, *rest: str) -> str:
        return ":".join((f"{self.prefix}:{{{shard}}}", kind, *rest))

    def execution(self, ref: ExecutionRef) -> str:
        """Hash: what the execution is, its status and how it ended. Until it is purged."""
        return self._of(ref.shard, "execution", str(ref))

    def frame(self, ref: ExecutionRef, frame: str) -> str:
        """Hash: a frame's state and what it waits for. Until the frame or the execution has ended."""
        return self._of(ref.shard, "frame", str(ref), frame)

    def frames(self, ref: ExecutionRef) -> str:
        """Set: the names of the execution's live frames. Until it has ended."""
        return self._of(ref.shard, "frames", str(ref))

    def results(self, ref: ExecutionRef, frame: str) -> str:
        """Hash: locals of ended children by index, while their parent's frame joins them."""
        return self._of(ref.shard, "results", str(ref), frame)

    def history(self, ref: ExecutionRef) -> str:
        """List: the execution's newer events, in their order. Until it is purged."""
        return self._of(ref.shard, "history", str(ref))

    def blocks(self, ref: ExecutionRef) -> str:
        """List: the older events of the history, packed a thousand to a block. Until it is purged."""
        return self._of(ref.shard, "blocks", str(ref))

    def values(self, ref: ExecutionRef) -> str:
        """Hash: long values that the events of the history refer to, by digest. Until it is purged."""
        return self._of(ref.shard, "values", str(ref))

    def cancellations(self, ref: ExecutionRef) -> str:
        """Set: the task tokens of steps that gave the execution up as a sub-flow. Until it is purged; a day if it
        never was there.
        """
        return self._of(ref.shard, "given-up", str(ref))

    def wake(self, shard: int) -> str:
        """Sorted set, for ever: the wake-up index, `REF|FRAME` or `REF|!job` by the moment it needs attention."""
        return self._of(shard, "wake")

    def indexes(self, ref: ExecutionRef, status: Status) -> tuple[str, ...]:
        """Sorted sets, for ever: the refs of executions by their start. Those that the status decides."""
        return self.index(ref.shard, None, status), self.index(ref.shard, ref.flow, status)

    def lasting_indexes(self, ref: ExecutionRef) -> tuple[str, ...]:
        """Sorted sets, for ever: those that hold an execution whatever its status."""
        return self.index(ref.shard, None, None), self.index(ref.shard, ref.flow, None)

    def index(self, shard: int, flow: str | None, status: Status | None) -> str:
        """Sorted set, for ever: refs by start, of one flow or all, in one status or any."""
        return self._of(shard, "index", flow or "*", status.value if status else "*")

    def flow(self, name: str) -> str:
        """Hash, until the flow is deleted: the digest of its present definition, and when it was deployed."""
        return f"{self.prefix}:flow:{name}"

    def flows(self) -> str:
        """Set, for ever: the names of the flows that are deployed."""
        return f"{self.prefix}:flows"

    def definition(self, digest: str) -> str:
        """String, for ever: a definition's text under its SHA-256."""
        return f"{self.prefix}:definition:{digest}"

    def route(self) -> str:
        """Hash, for ever: where workers take step messages from, so that a client without the app knows."""
        return f"{self.prefix}:route"

    def functions(self) -> str:
        """Hash, for ever: the functions that workers have registered, by name, with the moment they were last seen."""
        return f"{self.prefix}:functions"

    def sweeper(self) -> str:
        """String, for a second: who sweeps now, so that many workers do not all do it."""
        return f"{self.prefix}:sweeper"

    def mark(self) -> str:
        """String, for a minute: written behind what has to stand in the append-only file."""
        return f"{self.prefix}:mark"


def member(ref: ExecutionRef, frame: str = ROOT) -> str:
    """A frame's member of the wake-up index."""
    return f"{ref}|{frame}"


def job(ref: ExecutionRef, name: str) -> str:
    """The member of a maintenance job: `deadline`, `tidy`, `purge`, `notify`, `orphan`, `errand`."""
    return f"{ref}|{_DUTY}{name}"


def parse_member(text: str) -> tuple[ExecutionRef, str | None, str | None]:
    """The ref, and the frame or else the duty, that a member stands for."""
    ref, _, rest = text.rpartition("|")
    if rest.startswith(_DUTY):
        return ExecutionRef.parse(ref), None, rest[1:]
    return ExecutionRef.parse(ref), rest, None


def parent_of(frame: str) -> tuple[str, int, int]:
    """The frame that a child's belongs to, that one's entry, and the child's index: `r.3.0` is child 0 of `r` at 3."""
    above, _, index = frame.rpartition(".")
    parent, _, entry = above.rpartition(".")
    return parent, int(entry), int(index)
