"""The scripts that make transitions: start, claim, advance, fan_out, fan_in and end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from pollflow.store.commands.base import (
    CarriedText,
    Conflict,
    CountdownLimits,
    Gone,
    Late,
    Leased,
    MessageText,
    NextEntry,
    Parent,
    Script,
    Stale,
    Unclaimed,
)
from pollflow.store.keys import ExecutionKey


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The step that starts the execution has already cancelled it."""

    NAME: ClassVar[str] = "cancelled"


@dataclass(frozen=True, slots=True)
class Crowded:
    """As many steps as are allowed already wait for the end of the execution."""

    NAME: ClassVar[str] = "crowded"


@dataclass(frozen=True, slots=True)
class Exists:
    """An execution already has the ref."""

    NAME: ClassVar[str] = "exists"
    id: str
    incarnation: int
    status: str


@dataclass(frozen=True, slots=True)
class StartDone:
    """The execution was started, at this time. `unpublished`: the caller has to publish the first message."""

    NAME: ClassVar[str] = "started"
    unpublished: bool
    at: float


@dataclass(frozen=True, slots=True)
class Redeployed:
    """The flow has another definition than expected; nothing was changed."""

    NAME: ClassVar[str] = "redeployed"


StartReply: TypeAlias = StartDone | Exists | Redeployed | Cancelled | Crowded


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Script[StartReply]):
    """Starts an execution, unless its ref is in use. `fields`: names and values of the execution's hash, in turn.

    `expected_digest`: that of the flow's current definition; the key `flow` is given with it. `started_at` is the time
    of the script by default. The first step, `next`, is due at once.
    """

    NAME: ClassVar[str] = "start"
    KEYS: ClassVar[tuple[str, ...]] = (
        *("execution", "frame", "history", "values", "frames", "wake", "queue", "cancellations", "parents"),
        *("index", "flow_index", "status_index", "status_flow_index", "flow*"),
    )
    REPLIES: ClassVar[tuple[type, ...]] = (StartDone, Exists, Redeployed, Cancelled, Crowded)
    execution: ExecutionKey
    expected_digest: str | None
    fields: tuple[str, ...]
    started_at: str | None
    time_limit: float
    parent_link: Parent | None
    max_parents: int
    events: tuple[str, ...]
    values: Mapping[str, str]
    next: NextEntry
    redelivery_timeout: float


@dataclass(frozen=True, slots=True)
class TooEarly:
    """The entry is due in `seconds`."""

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
    reason: str = ""
    refused_at: float | None = None
    deadline: float | None = None
    total: int | None = None
    made: int | None = None
    ended: int | None = None
    parent_token: str = ""
    parent_metadata: str = ""


ClaimReply: TypeAlias = ClaimDone | TooEarly | Unreadable | Leased | Stale


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Script[ClaimReply]):
    """Decides whether a message may act, and leases the call that it starts. `layout`: the latest readable one."""

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
    """The frame continues. The other fields are there for an entry that the caller continues with."""

    NAME: ClassVar[str] = "done"
    at: float
    unpublished: bool
    events: int
    starts: int = 0
    deadline: float | None = None
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance(Script[AdvanceDone | Conflict | Late | Stale | Unclaimed]):
    """Commits a transition after which the frame continues.

    `nonce`: the claim of the call, or empty for a step without one; None for an event from outside the call.
    `join_nonce`: the claim that counted the children of a map step. `carried`: what the message carried of
    the entry, instead of a claim. `is_result`: refuse it after the deadline.
    `inline_nonce`: claims the next call at once.
    """

    NAME: ClassVar[str] = "advance"
    KEYS: ClassVar[tuple[str, ...]] = (
        *("execution", "frame", "history", "values", "wake", "queue", "results", "outbox", "countdowns"),
    )
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Late, Unclaimed, Conflict, AdvanceDone)
    execution: ExecutionKey
    frame: str
    token: str
    nonce: str | None
    join_nonce: str | None
    carried: CarriedText | None
    is_result: bool
    expected_events: int | None
    inline_nonce: str | None
    lease_seconds: float
    events: tuple[str, ...]
    values: Mapping[str, str]
    outbox_entry: OutboxText | None
    next: NextEntry
    countdown_limits: CountdownLimits
    redelivery_timeout: float


@dataclass(frozen=True, slots=True)
class Child:
    """The first entry of a branch or iteration."""

    frame: str
    events: tuple[str, ...]
    next: NextEntry


@dataclass(frozen=True, slots=True)
class FanOutDone:
    """The slice was made. The flags tell which messages the caller has to publish."""

    NAME: ClassVar[str] = "done"
    unpublished: bool
    unpublished_children: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut(Script[FanOutDone | Conflict | Stale | Unclaimed]):
    """Commits the next slice of children of a map step. `child_keys`: frame and queue of each child."""

    NAME: ClassVar[str] = "fan_out"
    KEYS: ClassVar[tuple[str, ...]] = (
        *("execution", "frame", "history", "values", "wake", "queue", "frames", "countdowns", "child_keys*"),
    )
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Unclaimed, Conflict, FanOutDone)
    execution: ExecutionKey
    frame: str
    token: str
    join_nonce: str | None
    carried: CarriedText | None
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
    countdown_limits: CountdownLimits
    redelivery_timeout: float


@dataclass(frozen=True, slots=True)
class FanInDone:
    """The result is stored. `unpublished`: the caller has to publish the parent's message."""

    NAME: ClassVar[str] = "done"
    unpublished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FanIn(Script[FanInDone | Late | Stale]):
    """Commits the end of a branch or iteration."""

    NAME: ClassVar[str] = "fan_in"
    KEYS: ClassVar[tuple[str, ...]] = (
        *("execution", "frame", "history", "values", "wake", "queue", "frames"),
        *("parent_frame", "parent_results", "results"),
    )
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Late, FanInDone)
    execution: ExecutionKey
    frame: str
    token: str
    nonce: str | None
    join_nonce: str | None
    is_result: bool
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
    """The execution had already ended, or (with status `Running`) has other parents than expected."""

    NAME: ClassVar[str] = "ended"
    status: str


@dataclass(frozen=True, slots=True)
class EndDone:
    """The execution has ended now. `has_parents`: a step waits for its end."""

    NAME: ClassVar[str] = "done"
    has_parents: bool


EndReply: TypeAlias = EndDone | Ended | Gone | Late | Stale | Unclaimed


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Script[EndReply]):
    """Ends an execution. `token` is None for a stop or time limit; `expected_parents`: only with exactly these.

    `by` and `error` are for the audit log; `by` is None unless a user stops the execution.
    """

    NAME: ClassVar[str] = "end"
    KEYS: ClassVar[tuple[str, ...]] = (
        *("execution", "frame", "history", "values", "wake", "parents"),
        *("running_index", "running_flow_index", "ended_index", "ended_flow_index", "audit"),
    )
    REPLIES: ClassVar[tuple[type, ...]] = (Stale, Late, Unclaimed, Gone, Ended, EndDone)
    execution: ExecutionKey
    frame: str
    token: str | None
    nonce: str | None
    join_nonce: str | None
    carried: CarriedText | None
    is_result: bool
    end_id: str
    status: str
    fields: Mapping[str, str]
    expected_parents: tuple[str, ...] | None
    retention: float
    events: tuple[str, ...]
    values: Mapping[str, str]
    by: str | None
    error: str
