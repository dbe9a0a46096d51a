"""The base class of all scripts, common replies, and common argument values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

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
    """The execution, the entry or the claim no longer matches that of the caller; nothing was changed."""

    NAME: ClassVar[str] = "stale"


@dataclass(frozen=True, slots=True)
class Done:
    """The change was made."""

    NAME: ClassVar[str] = "done"


@dataclass(frozen=True, slots=True)
class Gone:
    """The execution no longer exists."""

    NAME: ClassVar[str] = "gone"


@dataclass(frozen=True, slots=True)
class Leased:
    """Another call of the entry has a valid lease, or the deadline of the entry has passed."""

    NAME: ClassVar[str] = "leased"


@dataclass(frozen=True, slots=True)
class Late:
    """The deadline of the attempt has passed, so its result does not count; nothing was changed."""

    NAME: ClassVar[str] = "late"


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """The entry is not the one that its message carried, or is not due yet: claim it. Nothing was changed."""

    NAME: ClassVar[str] = "unclaimed"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Other frames have added events, and the decision depends on their number: decide again."""

    NAME: ClassVar[str] = "conflict"
    events: int


@dataclass(frozen=True, slots=True)
class CarriedText:
    """What a message carried of its entry, as it must be stored for the entry to count as claimed."""

    state: str
    digest: str
    started_at: str


@dataclass(frozen=True, slots=True)
class MessageText:
    """A message for the script to publish: the text before and after the publishing time."""

    head: str
    tail: str


@dataclass(frozen=True, slots=True)
class CountdownLimits:
    """Which waits are published with a countdown: of at most `longest` seconds, and at most `number` per shard.

    Waits of more than `look_ahead` seconds get at most half of the number. What exceeds the number is published by the
    sweep, `look_ahead` seconds before it is due.
    """

    longest: float
    number: int
    look_ahead: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NextEntry:
    """What a frame does next. `kind` is what it waits for: `step`, `call`, `report` or `children`.

    `after` is relative to the commit, `at` the due time itself; `timeout` limits a call. `message` is None if the
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
