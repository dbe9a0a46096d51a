"""The scripts of the sweep, leases, maintenance jobs, cleanup and history. None of them makes a transition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from pollflow.store.commands.base import CountdownLimits, Done, Leased, MessageText, Script, Stale
from pollflow.store.keys import ExecutionKey


@dataclass(frozen=True, slots=True)
class DueDone:
    """The time by Redis' clock, and the wake-ups that are due."""

    NAME: ClassVar[str] = "due"
    at: float
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due(Script[DueDone]):
    """Takes the wake-ups that are due, at most `limit`."""

    NAME: ClassVar[str] = "due"
    KEYS: ClassVar[tuple[str, ...]] = ("wake",)
    REPLIES: ClassVar[tuple[type, ...]] = (DueDone,)
    limit: int
    redelivery_timeout: float


@dataclass(frozen=True, slots=True)
class Queued:
    """The message is still in the queue."""

    NAME: ClassVar[str] = "queued"


@dataclass(frozen=True, slots=True)
class Later:
    """The wait is left to a later sweep."""

    NAME: ClassVar[str] = "later"


@dataclass(frozen=True, slots=True)
class Sent:
    """The message was published; or, if `unpublished`, the caller has to."""

    NAME: ClassVar[str] = "sent"
    unpublished: bool


RedeliverReply: TypeAlias = Sent | Queued | Later | Leased | Stale


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeliver(Script[RedeliverReply]):
    """Publishes an entry's message again. `sent`: how often it was published when the caller read the frame."""

    NAME: ClassVar[str] = "redeliver"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "frame", "wake", "countdowns", "queue")
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Queued, Later, Leased, Sent)
    execution: ExecutionKey
    frame: str
    token: str
    sent: int
    oldest_in_queue: float | None
    is_returned: bool
    reason: str
    message: MessageText | None
    countdown_limits: CountdownLimits
    redelivery_timeout: float
    max_redelivery_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Script[Sent | Stale]):
    """Ends the lease of a call that was interrupted, or that its worker cannot make.

    `is_counted`: it counts as a crash. `pause_seconds`: its message is due after this time. `reason` is for users.
    """

    NAME: ClassVar[str] = "release"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "frame", "wake", "queue")
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Sent)
    execution: ExecutionKey
    frame: str
    token: str
    nonce: str
    is_counted: bool
    pause_seconds: float
    reason: str
    message: MessageText | None
    redelivery_timeout: float


@dataclass(frozen=True, slots=True)
class Counted:
    """The number of errors so far."""

    NAME: ClassVar[str] = "counted"
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CountError(Script[Counted | Stale]):
    """Counts an error of the engine in an entry. `nonce`: the claim that failed; `layout`: the latest readable one."""

    NAME: ClassVar[str] = "count_error"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "frame", "wake")
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Counted)
    execution: ExecutionKey
    frame: str
    token: str
    nonce: str | None
    layout: int
    redelivery_timeout: float
    max_redelivery_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CountJobError(Script[Counted | Stale]):
    """Counts an error of a maintenance job, and makes the job due again later."""

    NAME: ClassVar[str] = "count_job_error"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "wake")
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Counted)
    execution: ExecutionKey
    job: str
    redelivery_timeout: float
    max_redelivery_timeout: float


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease was renewed, or the entry has no claimed call."""

    NAME: ClassVar[str] = "renewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew(Script[Renewed | Stale]):
    """Renews the lease of a running call. `worker` is the prefix of the nonces of its calls."""

    NAME: ClassVar[str] = "renew"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "frame", "wake")
    REPLIES: ClassVar[tuple[type, ...]] = (Renewed, Stale)
    execution: ExecutionKey
    frame: str
    token: str
    worker: str
    lease_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDone(Script[Done | Stale]):
    """Removes a maintenance job that is done from the wake-up index."""

    NAME: ClassVar[str] = "job_done"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "wake")
    REPLIES: ClassVar[tuple[type, ...]] = (Done, Stale)
    execution: ExecutionKey
    job: str


@dataclass(frozen=True, slots=True)
class ParentsNotifiedDone:
    """How many steps still wait to be notified."""

    NAME: ClassVar[str] = "done"
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentsNotified(Script[ParentsNotifiedDone | Stale]):
    """Marks steps as notified, by their task tokens. `has_more`: others have not been tried yet."""

    NAME: ClassVar[str] = "parents_notified"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "parents", "wake")
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, ParentsNotifiedDone)
    execution: ExecutionKey
    tokens: tuple[str, ...]
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxDone(Script[Done | Stale]):
    """Removes an outbox entry that is done."""

    NAME: ClassVar[str] = "outbox_done"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "wake", "outbox")
    REPLIES: ClassVar[tuple[type, ...]] = (Done, Stale)
    execution: ExecutionKey
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelChild(Script[Done]):
    """Notes that a step no longer wants a sub-flow. Kept for `keep_seconds` if the sub-flow does not exist."""

    NAME: ClassVar[str] = "cancel_child"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "cancellations", "wake")
    REPLIES: ClassVar[tuple[type, ...]] = (Done,)
    token: str
    keep_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoCancel(Script[Done]):
    """Removes the note of CancelChild."""

    NAME: ClassVar[str] = "undo_cancel"
    KEYS: ClassVar[tuple[str, ...]] = ("cancellations",)
    REPLIES: ClassVar[tuple[type, ...]] = (Done,)
    token: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """The redelivery was postponed."""

    NAME: ClassVar[str] = "postponed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Postpone(Script[Postponed | Stale]):
    """Postpones the redelivery of a message by `seconds` from now."""

    NAME: ClassVar[str] = "postpone"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "frame", "wake")
    REPLIES: ClassVar[tuple[type, ...]] = (Postponed, Stale)
    execution: ExecutionKey
    frame: str
    token: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CleanupDone:
    """How many frames are left."""

    NAME: ClassVar[str] = "done"
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleanup(Script[CleanupDone | Stale]):
    """Deletes the named frames of an execution that has ended. `frame_keys`: their frames and results."""

    NAME: ClassVar[str] = "cleanup"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "frames", "wake", "frame_keys*")
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, CleanupDone)
    execution: ExecutionKey
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge(Script[Done | Stale]):
    """Deletes an execution that has ended and has no frames left. `by` is None after its retention."""

    NAME: ClassVar[str] = "purge"
    KEYS: ClassVar[tuple[str, ...]] = (
        *("execution", "history", "values", "blocks", "frames", "cancellations", "parents", "outbox", "wake"),
        *("index", "flow_index", "status_index", "status_flow_index", "audit"),
    )
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Done)
    execution: ExecutionKey
    by: str | None


@dataclass(frozen=True, slots=True)
class Removed:
    """The wake-up was removed."""

    NAME: ClassVar[str] = "removed"


@dataclass(frozen=True, slots=True)
class Kept:
    """The wake-up is still needed."""

    NAME: ClassVar[str] = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget(Script[Removed | Kept]):
    """Removes a wake-up whose frame or execution no longer exists."""

    NAME: ClassVar[str] = "forget"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "frame", "wake")
    REPLIES: ClassVar[tuple[type, ...]] = (Removed, Kept)
    execution: ExecutionKey
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compact(Script[Done | Stale]):
    """Replaces the oldest `count` events by a block. `compacted`: how many events were in blocks before."""

    NAME: ClassVar[str] = "compact"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "history", "blocks")
    REPLIES: ClassVar[tuple[type, ...]] = (Done, Stale)
    execution: ExecutionKey
    compacted: int
    count: int
    block: str
