"""The scripts as types: for each `lua/NAME.lua` its keys, its arguments and its replies.

The header of each script lists the same names; a test compares them. Times and durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeAlias, TypeVar

from pollflow.store.keys import ExecutionKey

R_co = TypeVar("R_co", covariant=True)


class Script(Generic[R_co]):
    """The arguments of a script. A key name that ends in `*` stands for any number of keys.

    A field that is None is not sent; an ExecutionKey is sent as `ref`, `id` and `incarnation`.
    """

    __slots__ = ()
    NAME: ClassVar[str]
    KEYS: ClassVar[tuple[str, ...]]
    REPLIES: ClassVar[tuple[type, ...]]


@dataclass(frozen=True, slots=True)
class Stale:
    """The execution, its entry, or the claim is not the one that the caller means; nothing was changed."""

    NAME: ClassVar[str] = "stale"


@dataclass(frozen=True, slots=True)
class Done:
    """The change was made."""

    NAME: ClassVar[str] = "done"


@dataclass(frozen=True, slots=True)
class Gone:
    """The execution does not exist any more."""

    NAME: ClassVar[str] = "gone"


@dataclass(frozen=True, slots=True)
class Leased:
    """A call of the entry runs and its lease is valid, or its deadline has passed."""

    NAME: ClassVar[str] = "leased"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Other frames have added events, and the decision depends on their number: decide again."""

    NAME: ClassVar[str] = "conflict"
    events: int


@dataclass(frozen=True, slots=True)
class MessageText:
    """A message for the script to publish: the text before and after the publishing time."""

    head: str
    tail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NextEntry:
    """What a frame does next. `kind` is what it waits for: `step`, `call`, `report` or `children`.

    `after` is relative to the commit, `at` the due time itself; `timeout` limits a call. `message` is None where the
    script cannot publish.
    """

    token: str
    layout: int
    state: str
    kind: str
    metadata: str
    step: str
    attempt: int
    after: float = 0
    at: float | None = None
    timeout: float | None = None
    message: MessageText | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """A step that waits for the end of an execution, by its task token."""

    token: str
    notify_on_success: bool


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The step that starts the execution has cancelled it before."""

    NAME: ClassVar[str] = "cancelled"


@dataclass(frozen=True, slots=True)
class Exists:
    """An execution has the ref already."""

    NAME: ClassVar[str] = "exists"
    id: str
    incarnation: int
    status: str


@dataclass(frozen=True, slots=True)
class StartDone:
    """The execution was started. `unpublished`: the caller has to publish the first message."""

    NAME: ClassVar[str] = "started"
    unpublished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Script[StartDone | Exists | Cancelled]):
    """Starts an execution, unless its ref is in use. `fields` are those of the execution's hash."""

    NAME: ClassVar[str] = "start"
    KEYS: ClassVar[tuple[str, ...]] = (
        *("execution", "frame", "history", "values", "frames", "wake", "queue", "cancellations", "parents"),
        *("index", "flow_index", "status_index", "status_flow_index"),
    )
    REPLIES: ClassVar[tuple[type, ...]] = (StartDone, Exists, Cancelled)
    execution: ExecutionKey
    fields: Mapping[str, str]
    time_limit: float | None
    parent_link: Parent | None
    events: tuple[str, ...]
    values: Mapping[str, str]
    next: NextEntry
    max_countdown: float
    redelivery_timeout: float


@dataclass(frozen=True, slots=True)
class TooEarly:
    """The entry is due in so many seconds."""

    NAME: ClassVar[str] = "early"
    seconds: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A later release wrote the state, in this layout."""

    NAME: ClassVar[str] = "unreadable"
    layout: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimDone:
    """The entry as it is now, and what the machine needs of its execution."""

    NAME: ClassVar[str] = "claimed"
    kind: str
    layout: int
    state: str
    starts: int
    at: float
    flow: str
    name: str
    digest: str
    started_at: float
    secret: str
    events: int
    not_counted: int = 0
    deadline: float | None = None
    total: int | None = None
    made: int | None = None
    ended: int | None = None
    parent_token: str = ""
    parent_metadata: str = ""


ClaimReply: TypeAlias = ClaimDone | TooEarly | Unreadable | Leased | Stale


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Script[ClaimReply]):
    """Decides whether a message may act, and leases the call that it starts. `layout`: the latest that is readable."""

    NAME: ClassVar[str] = "claim"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "frame", "history", "wake")
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Leased, TooEarly, Unreadable, ClaimDone)
    execution: ExecutionKey
    frame: str
    token: str
    nonce: str
    lease_seconds: float
    layout: int


@dataclass(frozen=True, slots=True)
class OutboxText:
    """A sub-execution to stop, for the step of that task token."""

    token: str
    ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceDone:
    """The frame goes on; the rest tells of the entry that it is at now."""

    NAME: ClassVar[str] = "done"
    at: float
    unpublished: bool
    starts: int
    events: int
    deadline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance(Script[AdvanceDone | Conflict | Stale]):
    """Commits a transition after which the frame goes on.

    `nonce`: the claim of the call, or empty for a step without one; None for what comes from outside the call.
    `join_nonce`: the claim that has counted the children of a map step. `inline_nonce`: claims the next call at once.
    """

    NAME: ClassVar[str] = "advance"
    KEYS: ClassVar[tuple[str, ...]] = (
        *("execution", "frame", "history", "values", "wake", "queue", "results", "outbox"),
    )
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Conflict, AdvanceDone)
    execution: ExecutionKey
    frame: str
    token: str
    nonce: str | None
    join_nonce: str | None
    expected_events: int | None
    inline_nonce: str | None
    lease_seconds: float
    events: tuple[str, ...]
    values: Mapping[str, str]
    outbox_entry: OutboxText | None
    next: NextEntry
    max_countdown: float
    redelivery_timeout: float


@dataclass(frozen=True, slots=True)
class Child:
    """The first entry of a branch or iteration."""

    frame: str
    events: tuple[str, ...]
    next: NextEntry


@dataclass(frozen=True, slots=True)
class FanOutDone:
    """The slice was made; which messages the caller has to publish."""

    NAME: ClassVar[str] = "done"
    unpublished: bool
    unpublished_children: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut(Script[FanOutDone | Conflict | Stale]):
    """Commits the next slice of children of a map step. `child_keys`: frame and queue of each child."""

    NAME: ClassVar[str] = "fan_out"
    KEYS: ClassVar[tuple[str, ...]] = (
        *("execution", "frame", "history", "values", "wake", "queue", "frames", "child_keys*"),
    )
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Conflict, FanOutDone)
    execution: ExecutionKey
    frame: str
    token: str
    join_nonce: str | None
    expected_events: int | None
    joining_token: str
    total: int
    made: int
    max_concurrency: int
    layout: int
    state: str
    metadata: str
    events: tuple[str, ...]
    values: Mapping[str, str]
    message: MessageText | None
    children: tuple[Child, ...]
    max_countdown: float
    redelivery_timeout: float


@dataclass(frozen=True, slots=True)
class FanInDone:
    """The result is stored. `unpublished`: the caller has to publish the parent's message."""

    NAME: ClassVar[str] = "done"
    unpublished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FanIn(Script[FanInDone | Stale]):
    """Commits the end of a branch or iteration."""

    NAME: ClassVar[str] = "fan_in"
    KEYS: ClassVar[tuple[str, ...]] = (
        *("execution", "frame", "history", "values", "wake", "queue", "frames"),
        *("parent_frame", "parent_results", "results"),
    )
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, FanInDone)
    execution: ExecutionKey
    frame: str
    token: str
    nonce: str | None
    join_nonce: str | None
    parent_frame: str
    parent_token: str
    index: int
    result: str
    events: tuple[str, ...]
    values: Mapping[str, str]
    message: MessageText | None
    redelivery_timeout: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The execution has ended before, or has other parents than expected (then it is `Running`)."""

    NAME: ClassVar[str] = "ended"
    status: str


@dataclass(frozen=True, slots=True)
class EndDone:
    """The execution has ended now. `has_parents`: a step waits for that."""

    NAME: ClassVar[str] = "done"
    has_parents: bool


EndReply: TypeAlias = EndDone | Ended | Gone | Stale


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Script[EndReply]):
    """Ends an execution. `token` is None for a stop or time limit; `expected_parents`: only while it has just these."""

    NAME: ClassVar[str] = "end"
    KEYS: ClassVar[tuple[str, ...]] = (
        *("execution", "frame", "history", "values", "wake", "parents"),
        *("running_index", "running_flow_index", "ended_index", "ended_flow_index"),
    )
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Gone, Ended, EndDone)
    execution: ExecutionKey
    frame: str
    token: str | None
    nonce: str | None
    join_nonce: str | None
    end_id: str
    status: str
    fields: Mapping[str, str]
    expected_parents: tuple[str, ...] | None
    retention: float
    events: tuple[str, ...]
    values: Mapping[str, str]


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
    """The wait is not within the maximum countdown yet."""

    NAME: ClassVar[str] = "later"


@dataclass(frozen=True, slots=True)
class Sent:
    """The message was published; or, if `unpublished`, the caller has to."""

    NAME: ClassVar[str] = "sent"
    unpublished: bool


RedeliverReply: TypeAlias = Sent | Queued | Later | Leased | Stale


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeliver(Script[RedeliverReply]):
    """Publishes an entry's message again. `sent`: how often it was published when the caller looked."""

    NAME: ClassVar[str] = "redeliver"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "frame", "wake", "queue")
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Queued, Later, Leased, Sent)
    execution: ExecutionKey
    frame: str
    token: str
    sent: int
    oldest_in_queue: float | None
    is_returned: bool
    message: MessageText | None
    max_countdown: float
    redelivery_timeout: float
    max_redelivery_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Script[Sent | Stale]):
    """Ends the lease of a call that was interrupted. `is_counted`: it counts as a crash."""

    NAME: ClassVar[str] = "release"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "frame", "wake", "queue")
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Sent)
    execution: ExecutionKey
    frame: str
    token: str
    nonce: str
    is_counted: bool
    message: MessageText | None
    redelivery_timeout: float


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease was renewed, or no call is claimed that would need one."""

    NAME: ClassVar[str] = "renewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew(Script[Renewed | Stale]):
    """Renews the lease of a call that runs. `worker` begins the nonces of its calls."""

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
    """Notes that a step no longer wants a sub-flow. Kept for `keep_seconds` where the sub-flow does not exist."""

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
    """Deletes an execution that has ended and has no frames left."""

    NAME: ClassVar[str] = "purge"
    KEYS: ClassVar[tuple[str, ...]] = (
        *("execution", "history", "values", "blocks", "frames", "cancellations", "parents", "outbox", "wake"),
        *("index", "flow_index", "status_index", "status_flow_index"),
    )
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Done)
    execution: ExecutionKey


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
    """Removes a wake-up whose frame, or whose execution, does not exist any more."""

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


@dataclass(frozen=True, slots=True)
class HistoryDone:
    """Blocks and newer events; `first` is the number of events before them."""

    NAME: ClassVar[str] = "events"
    first: int
    blocks: tuple[str, ...]
    events: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History(Script[HistoryDone | Gone]):
    """Reads up to `limit` events after the first `after`."""

    NAME: ClassVar[str] = "history"
    KEYS: ClassVar[tuple[str, ...]] = ("execution", "history", "blocks")
    REPLIES: ClassVar[tuple[type, ...]] = (Gone, HistoryDone)
    execution: ExecutionKey
    after: int
    limit: int
    block_size: int
