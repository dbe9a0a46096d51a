"""Every key of pollflow in Redis: its name, type, meaning and lifetime. `docs/redis.md` is compared with this module.

All keys of one execution share the hash tag of its shard, so that a script may touch them together, in a cluster too.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from pollflow.errors import InvalidArgument
from pollflow.machine import ROOT, ExecutionInfo, Status

SHARDS = 16
"""Fixed: an execution's shard is part of its keys' names."""

_JOB = "!"
_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class ExecutionRef:
    """The name of a flow and the name of an execution of it. A purged execution's ref can be used again."""

    flow: str
    name: str

    def __str__(self) -> str:
        return f"{self.flow}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ExecutionRef:
        """Return the ref that `str` wrote; names hold no slash."""
        flow, _, name = text.partition("/")
        return cls(flow, name)

    @property
    def shard(self) -> int:
        """The shard that holds all keys of the execution."""
        return zlib.crc32(str(self).encode()) % SHARDS


@dataclass(frozen=True, slots=True)
class ExecutionKey:
    """One run of one execution: its ref, its random id, and its incarnation.

    An execution that is started again under the same ref has another id. `incarnation` is 1; resuming an ended
    execution raises it. Every script compares both first, so that nothing meant for one run touches another.
    """

    ref: ExecutionRef
    id: str
    incarnation: int = 1

    @classmethod
    def of(cls, info: ExecutionInfo) -> ExecutionKey:
        """Return the key of the execution that the machine knows as `info`."""
        return cls(ExecutionRef(info.flow_name, info.execution_name), info.execution_id, info.incarnation)


@dataclass(frozen=True, slots=True)
class WakeUp:
    """A member of the wake-up index: a frame of an execution, or a maintenance job of it; exactly one is set."""

    execution: ExecutionKey
    frame: str | None = None
    job: str | None = None

    def __str__(self) -> str:
        """The member as stored. `prelude.lua` builds the same text."""
        key = self.execution
        return f"{key.ref}|{key.id}.{key.incarnation}|{self.frame if self.job is None else _JOB + self.job}"

    @classmethod
    def parse(cls, text: str) -> WakeUp:
        """Return the wake-up that `str` wrote. Raises ValueError for any other text."""
        ref, identity, name = text.split("|")
        id, _, incarnation = identity.rpartition(".")
        execution = ExecutionKey(ExecutionRef.parse(ref), id, int(incarnation))
        if name.startswith(_JOB):
            return cls(execution, job=name.removeprefix(_JOB))
        return cls(execution, frame=name)


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of the keys, under one prefix. Raises InvalidArgument for an invalid prefix."""

    prefix: str = "pollflow"

    def __post_init__(self) -> None:
        # Without a colon, no key of one prefix is a key of another one. Without *, a pattern matches one prefix only.
        if not isinstance(self.prefix, str) or not _PREFIX.fullmatch(self.prefix):
            raise InvalidArgument(
                f"the key prefix must be 1 to 64 letters, digits, _ or -, with a letter first, not {self.prefix!r}"
            )

    def _of(self, shard: int, kind: str, *rest: str) -> str:
        return ":".join((f"{self.prefix}:{{{shard}}}", kind, *rest))

    def execution(self, ref: ExecutionRef) -> str:
        """Hash: what the execution is, its status and how it ended. Until it is purged."""
        return self._of(ref.shard, "execution", str(ref))

    def frame(self, ref: ExecutionRef, frame: str = ROOT) -> str:
        """Hash: a frame's state and what it waits for. Until the frame or the execution has ended."""
        return self._of(ref.shard, "frame", str(ref), frame)

    def frames(self, ref: ExecutionRef) -> str:
        """Set: the names of the execution's live frames. Until it has ended."""
        return self._of(ref.shard, "frames", str(ref))

    def results(self, ref: ExecutionRef, frame: str) -> str:
        """Hash: locals of ended children by index, while their parent frame waits for the others."""
        return self._of(ref.shard, "results", str(ref), frame)

    def history(self, ref: ExecutionRef) -> str:
        """List: the newer events of the execution, in order. Until it is purged."""
        return self._of(ref.shard, "history", str(ref))

    def blocks(self, ref: ExecutionRef) -> str:
        """List: the older events of the history, compacted to blocks of a thousand. Until it is purged."""
        return self._of(ref.shard, "blocks", str(ref))

    def values(self, ref: ExecutionRef) -> str:
        """Hash: long values that events of the history refer to, by digest. Until it is purged."""
        return self._of(ref.shard, "values", str(ref))

    def parents(self, ref: ExecutionRef) -> str:
        """Hash: the steps that wait for the end of the execution, by task token: `1` if they wait for success too,
        `0` if only for failure. Until it is purged.
        """
        return self._of(ref.shard, "parents", str(ref))

    def outbox(self, ref: ExecutionRef) -> str:
        """Hash: the sub-executions to stop, as refs by the task token of the step that no longer waits. Until done."""
        return self._of(ref.shard, "outbox", str(ref))

    def cancellations(self, ref: ExecutionRef) -> str:
        """Set: the task tokens of steps that no longer want the execution as a sub-flow. Until it is purged; a day if
        it never started.
        """
        return self._of(ref.shard, "cancellations", str(ref))

    def wake(self, shard: int) -> str:
        """Sorted set, permanent: the wake-up index, `REF|ID.INCARNATION|FRAME` or `…|!JOB` by the time of attention."""
        return self._of(shard, "wake")

    def countdowns(self, shard: int) -> str:
        """Sorted set: `REF|ID.INCARNATION|FRAME` of messages with a countdown, by due time. Until the last is due."""
        return self._of(shard, "countdowns")

    def indexes(self, ref: ExecutionRef, status: Status) -> tuple[str, str]:
        """Sorted sets, permanent: the refs of executions by their start. Those that the status decides."""
        return self.index(ref.shard, None, status), self.index(ref.shard, ref.flow, status)

    def lasting_indexes(self, ref: ExecutionRef) -> tuple[str, str]:
        """Sorted sets, permanent: those that hold an execution whatever its status."""
        return self.index(ref.shard, None, None), self.index(ref.shard, ref.flow, None)

    def index(self, shard: int, flow: str | None, status: Status | None) -> str:
        """Sorted set, permanent: refs by start, of one flow or all, in one status or any."""
        return self._of(shard, "index", flow or "*", status.value if status else "*")

    def flow(self, name: str) -> str:
        """Hash, permanent: the digest of its current definition, its description, and when it was deployed."""
        return f"{self.prefix}:flow:{name}"

    def flows(self) -> str:
        """Set, permanent: the names of the deployed flows."""
        return f"{self.prefix}:flows"

    def definition(self, digest: str) -> str:
        """String, permanent: a definition's text under its SHA-256."""
        return f"{self.prefix}:definition:{digest}"

    def route(self) -> str:
        """Hash, permanent: where workers take step messages from, for clients without the app."""
        return f"{self.prefix}:route"

    def functions(self) -> str:
        """Hash, permanent: the functions that workers have registered, by name, with the time they were last seen."""
        return f"{self.prefix}:functions"

    def sweeper(self) -> str:
        """String, for a second: a worker sweeps now, so that many workers do not all do it."""
        return f"{self.prefix}:sweeper"

    def audit(self) -> str:
        """Stream, permanent: the newest deploys, stops and purges, and who made them; about ten thousand."""
        return f"{self.prefix}:audit"

    def mark(self) -> str:
        """String, for a minute: written after what has to be in the append-only file."""
        return f"{self.prefix}:mark"
