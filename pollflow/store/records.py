"""Stored records as values. Times are epoch seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pollflow.errors import DamagedRecord
from pollflow.fdl.model import JsonObject
from pollflow.machine import Decision, ExecutionInfo, FrameState, Join, MessageMetadata, Status
from pollflow.store.codec import CAUSE, CLEAR, EVENT, INPUT, OUTPUT, STATE, Sealer
from pollflow.store.keys import ExecutionKey, ExecutionRef
from pollflow.store.messages import Carried, Message, MessageKey
from pollflow.store.state import load_join, load_json, load_metadata, load_state
from pollflow.store.values import NO_EXECUTION, place_of

_FALLBACKS: dict[str, tuple[Callable[[str], Any], str]] = {
    "started_at": (float, "0"),
    "ended_at": (float, "0"),
    "events": (int, "0"),
    "error": (load_json, '""'),
}
"""The fields of an execution that may be damaged in a list: how each is decoded, and what stands for it."""


def damaged(ref: ExecutionRef, what: str, error: Exception) -> DamagedRecord:
    """Return the error for a part of an execution that cannot be decoded."""
    return DamagedRecord(f'the {what} of execution "{ref}" cannot be decoded: {type(error).__name__}: {error}')


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of an execution's history. `cause` is the id of the event that caused it, or 0.

    `by` and `reason` are set where a person or another program caused it.
    """

    id: int
    cause: int
    at: float
    type: str
    step: str
    detail: JsonObject
    by: str = ""
    reason: str = ""

    @classmethod
    def load(cls, number: int, text: str, sealer: Sealer, ref: ExecutionRef) -> StoredEvent:
        """Return the event stored at `number`, from 1; long values are not restored. Raises MissingKey."""
        at, cause, (type_, step, detail, *operator) = load_json(text)
        by, reason = operator or ("", "")
        if isinstance(detail, str):  # an encoded one; a clear one is an object
            detail, reason = load_json(sealer.open(ref, EVENT, detail, place_of(type_, step)))
        return cls(number, cause, at, type_, step, detail, by, reason)


@dataclass(frozen=True, slots=True)
class ParentLink:
    """A step that waits for the end of a sub-execution: its task token, and whether it is notified of success too."""

    token: str
    notify_on_success: bool = True
    is_notified: bool = False


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A sub-execution that a step no longer wants. It is stopped later, since it may be in another shard.

    `token` is the step's task token.
    """

    ref: ExecutionRef
    token: str


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """An execution as stored.

    Input, output and cause are decoded on access, so that an execution whose input cannot be decoded can be ended and
    purged.
    """

    key: ExecutionKey
    digest: str
    status: Status
    started_at: float
    encoded_input: str
    events: int
    secret: str
    ended_at: float | None = None
    encoded_output: str | None = None
    error: str | None = None
    encoded_cause: str | None = None
    parent: str = ""
    """The task token of the step that started it; empty if a client did."""
    sealer: Sealer = CLEAR

    @classmethod
    def load(cls, ref: ExecutionRef, fields: Mapping[str, str], sealer: Sealer) -> ExecutionRecord:
        """Return the record of an execution's hash."""
        return cls(
            key=ExecutionKey(ref, fields["id"], int(fields["incarnation"])),
            digest=fields["digest"],
            status=Status(fields["status"]),
            started_at=float(fields["started_at"]),
            encoded_input=fields["input"],
            events=int(fields["events"]),
            secret=fields["secret"],
            ended_at=float(fields["ended_at"]) if "ended_at" in fields else None,
            encoded_output=fields.get("output"),
            error=load_json(fields["error"]) if "error" in fields else None,
            encoded_cause=fields.get("cause"),
            parent=fields.get("parent", ""),
            sealer=sealer,
        )

    @classmethod
    def load_readable(
        cls, ref: ExecutionRef, fields: Mapping[str, str], sealer: Sealer
    ) -> tuple[ExecutionRecord, tuple[str, ...]]:
        """Return the record, and the names of the fields that cannot be decoded.

        Raises DamagedRecord if its identity or status is damaged.
        """
        try:
            return cls.load(ref, fields, sealer), ()
        except (ValueError, KeyError):
            names = tuple(name for name in _FALLBACKS if not _is_readable(name, fields))
        try:
            return cls.load(ref, {**fields, **{name: _FALLBACKS[name][1] for name in names}}, sealer), names
        except (ValueError, KeyError) as error:
            raise damaged(ref, "record", error) from error

    @property
    def input(self) -> JsonObject:
        """The input of the execution. Raises DamagedRecord, MissingKey."""
        decoded: JsonObject = self._decoded(INPUT, self.encoded_input)
        return decoded

    @property
    def output(self) -> JsonObject | None:
        """The output of the execution; None unless it succeeded. Raises DamagedRecord, MissingKey."""
        text = self.encoded_output
        decoded: JsonObject | None = None if text is None else self._decoded(OUTPUT, text)
        return decoded

    @property
    def cause(self) -> str | None:
        """The cause of the error; None if it runs or succeeded. Raises DamagedRecord, MissingKey."""
        text = self.encoded_cause
        decoded: str | None = None if text is None else self._decoded(CAUSE, text)
        return decoded

    def _decoded(self, name: str, text: str) -> Any:
        try:
            return load_json(self.sealer.open(self.ref, name, text))
        except ValueError as error:
            raise damaged(self.ref, name, error) from error

    @property
    def ref(self) -> ExecutionRef:
        """The ref of the execution."""
        return self.key.ref

    @property
    def id(self) -> str:
        """The random id of the execution."""
        return self.key.id

    @property
    def info(self) -> ExecutionInfo:
        """What the machine knows of the execution."""
        return ExecutionInfo(
            self.ref.flow, self.ref.name, self.id, self.started_at, self.secret, self.events, self.key.incarnation
        )


def _is_readable(name: str, fields: Mapping[str, str]) -> bool:
    try:
        _FALLBACKS[name][0](fields.get(name, _FALLBACKS[name][1]))
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """A frame as stored. Times are 0 or None where there are none.

    The state is decoded on access, so a worker that cannot decode it can still redeliver the message.
    """

    frame: str
    token: str
    kind: str
    metadata: MessageMetadata
    layout: int
    encoded_state: str
    due: float
    claim: str
    lease: float
    starts: int
    sent: int
    sent_at: float
    since: float
    deadline: float | None
    join: Join | None
    reason: str = ""
    """Why a worker released the call, for users; empty if it was claimed again since."""
    parent_token: str = ""
    parent_metadata: MessageMetadata | None = None
    sealer: Sealer = CLEAR
    ref: ExecutionRef = NO_EXECUTION

    @property
    def next_delivery(self) -> str:
        """What tells the next message of the entry from those published so far; empty for the first one."""
        return next_delivery(self.sent)

    @classmethod
    def load(cls, ref: ExecutionRef, frame: str, fields: Mapping[str, str], sealer: Sealer) -> FrameRecord:
        """Return the record of a frame's hash."""
        counts = (int(fields[name]) if name in fields else None for name in ("total", "made", "ended"))
        return cls(
            frame=frame,
            token=fields["token"],
            kind=fields["kind"],
            metadata=load_metadata(fields["metadata"]) if fields["metadata"] else MessageMetadata("task", ""),
            layout=int(fields["layout"]),
            encoded_state=fields["state"],
            due=float(fields["due"]),
            claim=fields.get("claim", ""),
            lease=float(fields.get("lease", 0)),
            starts=int(fields.get("starts", 0)),
            sent=int(fields.get("sent", 0)),
            sent_at=float(fields.get("sent_at", 0)),
            since=float(fields.get("since", 0)),
            deadline=float(fields["deadline"]) if "deadline" in fields else None,
            join=load_join(*counts),
            reason=fields.get("reason", ""),
            parent_token=fields.get("parent_token", ""),
            parent_metadata=load_metadata(fields["parent_metadata"]) if "parent_metadata" in fields else None,
            sealer=sealer,
            ref=ref,
        )

    @property
    def state(self) -> FrameState:
        """The frame's state. Raises UnreadableRecord for one of a later layout, MissingKey, and DamagedRecord."""
        text = self.sealer.open(self.ref, STATE, self.encoded_state, self.frame)
        return load_state(self.frame, self.layout, text)


def next_delivery(sent: int) -> str:
    """Return what tells the next message of an entry from those published so far; empty for the first one."""
    return str(sent + 1) if sent else ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An execution and its live frames, as read together."""

    execution: ExecutionRecord
    frames: tuple[FrameRecord, ...]
    damaged: tuple[str, ...] = ()
    """What could not be decoded: fields, which have an empty value instead, and frames, which are left out."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claimed entry of a frame.

    `starts` counts the calls begun under its token, including this one. `not_counted` counts the calls that ended
    because their worker was stopped. `nonce` is the fencing token of the call, `at` the time of the claim by Redis'
    clock. `reason` says why a worker released the call before this one. `refused_at` is when a worker first refused it.
    `carried` is set if there was no claim, since the message carried the state. Then the time is not known, and the
    secret of the execution is empty.
    """

    key: MessageKey
    nonce: str
    kind: str
    state: FrameState
    info: ExecutionInfo
    digest: str
    at: float | None
    starts: int = 0
    not_counted: int = 0
    reason: str = ""
    refused_at: float | None = None
    deadline: float | None = None
    join: Join | None = None
    parent_token: str = ""
    parent_metadata: MessageMetadata | None = None
    carried: Carried | None = None

    @property
    def crashes(self) -> int:
        """The number of earlier calls that ended with their process, perhaps because of the function."""
        return self.starts - 1 - self.not_counted


@dataclass(frozen=True, slots=True)
class Early:
    """The message arrived before its entry is due; `seconds` are left."""

    seconds: float


class Refusal(str):
    """Why a message or a commit may not act: `stale` (its entry is over), `leased` (a worker runs it), `late` or else.

    `late`: the deadline of the attempt has passed, so that its result does not count. `unclaimed`: the entry is not
    the one that its message carried, so it has to be claimed.
    """

    __slots__ = ()


STALE = Refusal("stale")
LATE = Refusal("late")
LEASED = Refusal("leased")
UNCLAIMED = Refusal("unclaimed")


@dataclass(frozen=True, slots=True)
class Committed:
    """A transition was committed as `decision` says; the caller has to publish `messages`.

    `continued` is the claim of the next entry, if the caller continues inline. `has_parents`: the execution has ended,
    and a step waits for its end.
    """

    decision: Decision
    messages: tuple[Message, ...] = ()
    continued: Claimed | None = None
    has_parents: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The result of a start. `existing` is the status of an execution that already has the ref, else None.

    The caller has to publish `messages`. `at` is when it was started, and `snapshot` what a read at that time returns;
    there is none if an execution already has the ref.
    """

    key: ExecutionKey
    existing: Status | None = None
    messages: tuple[Message, ...] = ()
    at: float = 0
    snapshot: Snapshot | None = None

    @property
    def is_new(self) -> bool:
        """Whether this start made the execution."""
        return self.existing is None
