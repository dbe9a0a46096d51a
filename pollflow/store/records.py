"""What is stored, as values; and a frame's state as text, with the number of its layout.

A release reads its predecessor's layout. What it does not know it leaves to others: UnreadableRecord.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pollflow.errors import UnreadableRecord
from pollflow.fdl.model import Json, JsonObject
from pollflow.machine import ExecutionInfo, FrameState, Join, Level, MessageMetadata, ParentFrame, Phase, Status
from pollflow.store.keys import ExecutionRef

LAYOUT = 1


def dump_json(value: Json) -> str:
    """Compact JSON text. Numbers that JSON has not are refused with ValueError."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def dump_state(state: FrameState) -> str:
    """The stored form of a frame's state; its frame is in the key."""
    return dump_json(
        {
            "v": LAYOUT,
            "input": state.input,
            "levels": [[lv.series, lv.step, lv.local, lv.entered] for lv in state.levels],
            "entry": state.entry,
            "phase": state.phase.value,
            "attempt": state.attempt,
            "retries": list(state.retries),
            "parent": [parent.frame, parent.entry, parent.index] if (parent := state.parent) else None,
        }
    )


def load_state(frame: str, text: str) -> FrameState:
    """The state that `dump_state` wrote. Raises UnreadableRecord for a layout of a later release."""
    record = json.loads(text)
    if record.get("v") != LAYOUT:
        raise UnreadableRecord(f"state of layout {record.get('v')!r}; this release reads {LAYOUT}")
    return FrameState(
        frame=frame,
        input=record["input"],
        levels=tuple(Level(series, step, local, entered) for series, step, local, entered in record["levels"]),
        entry=record["entry"],
        phase=Phase(record["phase"]),
        attempt=record["attempt"],
        retries=tuple(record["retries"]),
        parent=ParentFrame(*record["parent"]) if record["parent"] else None,
    )


def dump_metadata(metadata: MessageMetadata) -> str:
    """The stored form of a hint."""
    fields: list[Json] = [metadata.type, metadata.step, metadata.attempt, metadata.entry]
    return dump_json([*fields, True, metadata.timeout] if metadata.is_callback else fields)


def load_metadata(text: str) -> MessageMetadata:
    """The hint that `dump_metadata` wrote, or that of a later release, which may say more."""
    return MessageMetadata(*json.loads(text)[:6])


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of an execution's history. `at` is epoch seconds, `cause` the id of the event that caused it, or 0."""

    id: int
    cause: int
    at: float
    type: str
    step: str
    detail: JsonObject

    @classmethod
    def load(cls, number: int, text: str) -> StoredEvent:
        """The event that stands at `number`, from 1; its detail still folded."""
        at, cause, type_, step, detail = json.loads(text)
        return cls(number, cause, at, type_, step, detail)


@dataclass(frozen=True, slots=True)
class ParentLink:
    """A step that waits for the end of an execution: its task token, and whether success is told to it too."""

    token: str
    notify_on_success: bool = True

    def dump(self) -> str:
        """Its stored form; tokens hold no comma."""
        return ("+" if self.notify_on_success else "-") + self.token

    @classmethod
    def load(cls, text: str) -> ParentLink:
        """The waiter that `dump` wrote."""
        return cls(text[1:], text.startswith("+"))

    @classmethod
    def dump_all(cls, parent_links: Sequence[ParentLink]) -> str:
        """The stored form of several."""
        return ",".join(parent_link.dump() for parent_link in parent_links)


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A step has given up a sub-execution, which is to be stopped: it is in another shard. `token` is the step's."""

    ref: ExecutionRef
    token: str

    def dump(self) -> str:
        """Its stored form: one line."""
        return f"{self.ref} {self.token}"

    @classmethod
    def load(cls, text: str) -> OutboxEntry:
        """The errand that `dump` wrote."""
        ref, _, token = text.partition(" ")
        return cls(ExecutionRef.parse(ref), token)


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """An execution as stored. Moments are epoch seconds."""

    ref: ExecutionRef
    id: str
    digest: str
    status: Status
    started_at: float
    input: JsonObject
    events: int
    secret: str
    ended_at: float | None = None
    output: JsonObject | None = None
    error: str | None = None
    cause: str | None = None
    parent: str = ""
    """The task token of the step that started it; empty if a client did."""
    parent_links: tuple[ParentLink, ...] = ()
    outbox: tuple[OutboxEntry, ...] = ()

    @classmethod
    def load(cls, ref: ExecutionRef, fields: dict[str, Any]) -> ExecutionRecord:
        """From the hash of the execution."""
        return cls(
            ref=ref,
            id=fields["id"],
            digest=fields["digest"],
            status=Status(fields["status"]),
            started_at=float(fields["started_at"]),
            input=json.loads(fields["input"]),
            events=int(fields["events"]),
            secret=fields["secret"],
            ended_at=float(fields["ended_at"]) if "ended_at" in fields else None,
            output=json.loads(fields["output"]) if "output" in fields else None,
            error=fields.get("error"),
            cause=fields.get("cause"),
            parent=fields.get("parent", ""),
            parent_links=tuple(ParentLink.load(text) for text in fields.get("waiters", "").split(",") if text),
            outbox=tuple(OutboxEntry.load(text) for text in fields.get("errands", "").splitlines()),
        )

    @property
    def steps(self) -> set[str]:
        """The task tokens of the steps that started it, or took it while it ran and wait for it."""
        return {parent_link.token for parent_link in self.parent_links} | {self.parent} - {""}

    @property
    def is_awaited_by_its_starter(self) -> bool:
        """Whether a step started it and waited. Any other goes its own way, whoever has taken it."""
        return self.parent in {parent_link.token for parent_link in self.parent_links}

    @property
    def info(self) -> ExecutionInfo:
        """What the machine knows of it."""
        return ExecutionInfo(self.ref.flow, self.ref.name, self.id, self.started_at, self.secret, self.events)


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """A frame as stored, as the sweep looks at it. Moments are epoch seconds, 0 or None where there are none.

    Its state is read when it is asked for, so that a message can be published again by who cannot read the state.
    """

    frame: str
    token: str
    kind: str
    metadata: MessageMetadata
    written: str
    due: float
    claim: str
    lease: float
    starts: int
    sent: int
    sent_at: float
    deadline: float | None
    join: Join | None
    parent_token: str = ""
    parent_metadata: MessageMetadata | None = None

    @classmethod
    def load(cls, frame: str, fields: dict[str, str], parent: dict[str, str] | None = None) -> FrameRecord:
        """From the hash of the frame, and that of its parent if it is a child."""
        return cls(
            frame=frame,
            token=fields["token"],
            kind=fields["kind"],
            metadata=load_metadata(fields["hint"]) if fields["hint"] else MessageMetadata("task", ""),
            written=fields["state"],
            due=float(fields["due"]),
            claim=fields.get("claim", ""),
            lease=float(fields.get("lease", 0)),
            starts=int(fields.get("starts", 0)),
            sent=int(fields.get("sent", 0)),
            sent_at=float(fields.get("sent_at", 0)),
            deadline=float(fields["deadline"]) if "deadline" in fields else None,
            join=load_join(fields.get("total", ""), fields.get("made", ""), fields.get("ended", "")),
            parent_token=parent["token"] if parent else "",
            parent_metadata=load_metadata(parent["hint"]) if parent and parent["hint"] else None,
        )

    @property
    def state(self) -> FrameState:
        """The frame's state. Raises UnreadableRecord for one of a later layout."""
        return load_state(self.frame, self.written)


def load_join(total: str, made: str, ended: str) -> Join | None:
    """The counts of a joining frame; None where no children were made."""
    return Join(int(total or 0), int(made), int(ended)) if made else None


@dataclass(frozen=True, slots=True)
class MessageKey:
    """One entry's present message: which execution, which frame, and the token that it acts under."""

    ref: ExecutionRef
    frame: str
    token: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message to be sent: where it goes, what it says of itself, and when it is due.

    `countdown` is seconds from now, 0 for at once; `at`, if set, is the moment itself (epoch seconds).
    """

    key: MessageKey
    execution_id: str
    metadata: MessageMetadata
    countdown: float = 0
    at: float | None = None


@dataclass(frozen=True, slots=True)
class EncodedMessage:
    """A letter as the broker takes it: a list of the same Redis, and the text before and after the moment of sending.

    `queue` is None where the script cannot publish; then the caller does, after the commit.
    """

    queue: str | None
    head: str = ""
    tail: str = ""


NOT_IN_SCRIPT = EncodedMessage(None)


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a message may act on.

    `starts` counts the calls begun under its token, this one included; `not_counted` those of them that ended because
    their worker was stopped.

    `nonce` is the fencing token of the call; `at` the moment of the claim by Redis' clock.
    """

    key: MessageKey
    nonce: str
    kind: str
    state: FrameState
    info: ExecutionInfo
    digest: str
    at: float
    starts: int = 0
    not_counted: int = 0
    deadline: float | None = None
    join: Join | None = None
    parent_token: str = ""
    parent_metadata: MessageMetadata | None = None

    @property
    def crashes(self) -> int:
        """How many calls were cut off before this one, by something that may be the function's own fault."""
        return self.starts - 1 - self.not_counted


@dataclass(frozen=True, slots=True)
class Early:
    """The message came before its entry is due."""

    seconds: float


class Refusal(str):
    """Why a message may not act: `stale` (its entry is over) or `continued` (somebody runs it)."""

    __slots__ = ()


STALE = Refusal("stale")
LEASED = Refusal("held")


@dataclass(frozen=True, slots=True)
class Committed:
    """A transition was committed; the caller has to publish `messages`. `continued` is set if it goes on at once.

    `is_awaited`: it ended the execution, and somebody waits for that.
    """

    messages: tuple[Message, ...] = ()
    continued: Claimed | None = None
    is_awaited: bool = False
