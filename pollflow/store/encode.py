"""Encoding of a Decision as arguments of scripts. This module does not access Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import assert_never

from pollflow.machine import (
    AwaitChildren,
    AwaitReport,
    Decision,
    ExecutionInfo,
    FrameState,
    HistoryEvent,
    ScheduleCall,
    ScheduleStep,
)
from pollflow.store.codec import CLEAR, STATE, Sealer
from pollflow.store.commands import CountdownLimits, MessageText, NextEntry
from pollflow.store.keys import SHARDS, ExecutionKey, ExecutionRef
from pollflow.store.messages import Carried, Encode, EncodedMessage, Message, MessageKey
from pollflow.store.state import ENCODED, LAYOUT, dump_metadata, dump_state
from pollflow.store.values import NO_EXECUTION, deduplicate

MAX_CARRIED_BYTES = 2048
"""The longest state that a message carries: a worker holds the messages of waits in memory."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When entries need attention, in seconds.

    `max_countdown`: the longest countdown that is published; longer waits stay in the wake-up index until
    they are within it. `max_countdown_messages`: how many messages wait for their countdown at once; other waits stay
    in the index until `look_ahead` before they are due.
    `redelivery_timeout`: how long after its due time a message is published again; doubled each time up to
    `max_redelivery_timeout`. `lease`: how long a call may run without a renewal by its worker.
    `retention`: how long an ended execution is kept. `max_concurrency`: how many children of a step run at once.
    """

    max_countdown: float = 60
    max_countdown_messages: int = 4_000
    look_ahead: float = 3
    redelivery_timeout: float = 2
    max_redelivery_timeout: float = 600
    lease: float = 3
    retention: float = 30 * 86_400
    max_concurrency: int = 100

    @property
    def countdown_limits(self) -> CountdownLimits:
        """The limits of one shard."""
        return CountdownLimits(self.max_countdown, -(-self.max_countdown_messages // SHARDS), self.look_ahead)


@dataclass(frozen=True, slots=True)
class EncodedEntry:
    """A frame's next entry as the scripts take it, its message, and the queue that a script publishes it to."""

    entry: NextEntry
    message: Message | None
    queue: str | None


def encode_next(
    info: ExecutionInfo, decision: Decision, token: str, encode: Encode, sealer: Sealer, *, digest: str | None
) -> EncodedEntry:
    """Encode a decision after which the frame continues under a new token.

    `digest` is that of the definition; None: the message carries no state.
    """
    state, kind = state_of(decision), kind_of(decision)
    layout, state_text = encode_state(state, sealer, ExecutionKey.of(info).ref)
    match decision.wake:
        case AwaitReport():
            entry = NextEntry(
                token=token,
                layout=layout,
                state=state_text,
                kind=kind,
                metadata="",
                step="",
                attempt=state.attempt,
            )
            return EncodedEntry(entry, None, None)
        case ScheduleStep(metadata, after, at):
            timeout, carried = None, _carried(info, decision, layout, state_text, digest=digest)
        case ScheduleCall(metadata, after, timeout):
            at = carried = None  # a call needs its lease, and so a claim
        case _:
            raise TypeError(decision.wake)
    key = MessageKey(ExecutionKey.of(info), state.frame, token)
    message = Message(key, metadata, countdown=after, at=at, carried=carried)
    encoded = encode(message)
    entry = NextEntry(
        token=token,
        layout=layout,
        state=state_text,
        kind=kind,
        metadata=dump_metadata(metadata),
        step=metadata.step,
        attempt=metadata.attempt,
        after=after,
        at=at,
        timeout=timeout,
        message=message_text(encoded),
    )
    return EncodedEntry(entry, message, encoded.queue if encoded else None)


def _carried(
    info: ExecutionInfo, decision: Decision, layout: int, state_text: str, *, digest: str | None
) -> Carried | None:
    # The end of a branch or iteration also needs what is stored of its parent.
    if digest is None or len(state_text) > MAX_CARRIED_BYTES or state_of(decision).parent is not None:
        return None
    return Carried(layout, state_text, digest, info.started_at, info.events + decision.events)


def message_text(encoded: EncodedMessage | None) -> MessageText | None:
    """Return the part of an encoded message that a script inserts the time into."""
    return MessageText(encoded.head, encoded.tail) if encoded else None


def kind_of(decision: Decision) -> str:
    """Return what the frame waits for, as stored: `step`, `call`, `report` or `children`."""
    match decision.wake:
        case ScheduleStep():
            return "step"
        case ScheduleCall():
            return "call"
        case AwaitReport():
            return "report"
        case AwaitChildren():
            return "children"
        case None:
            raise TypeError("the frame has ended")
        case _:
            assert_never(decision.wake)


def state_of(decision: Decision) -> FrameState:
    """Return the state of a decision after which the frame continues."""
    if decision.state is None:
        raise TypeError("the frame has ended")
    return decision.state


def encode_state(state: FrameState, sealer: Sealer, ref: ExecutionRef) -> tuple[int, str]:
    """Return the layout and the stored form of a frame's state."""
    return layout_of(sealer), sealer.seal(ref, STATE, dump_state(state), state.frame)


def layout_of(sealer: Sealer) -> int:
    """Return the layout of the states that this process writes, the latest one that it reads."""
    return LAYOUT if sealer.codec is None else LAYOUT + ENCODED


def encode_events(
    history: Sequence[HistoryEvent],
    values: dict[str, str],
    sealer: Sealer = CLEAR,
    ref: ExecutionRef = NO_EXECUTION,
) -> tuple[str, ...]:
    """Return the stored forms of events; their long values go into `values`, by digest."""
    return tuple(deduplicate(event, values, sealer, ref) for event in history)
