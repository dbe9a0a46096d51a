"""Turns a Decision into what the scripts take. Nothing in here reads or writes Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from pollflow.store.keys import ExecutionRef
from pollflow.store.records import (
    NOT_IN_SCRIPT,
    EncodedMessage,
    Message,
    MessageKey,
    dump_json,
    dump_metadata,
    dump_state,
)
from pollflow.store.scripts import Argument
from pollflow.store.values import deduplicate

Encode = Callable[[Message], EncodedMessage]


@dataclass(frozen=True, slots=True)
class Timing:
    """When entries need attention, in seconds.

    `max_countdown`: the longest countdown that is published; longer waits stay in the index until then.
    `redelivery_timeout`: how long after its due time a message is published again; doubled each time up to
    `max_redelivery_timeout`.
    `lease`: how long a call may go without a sign of life from its worker.
    `retention`: how long an ended execution is kept. `max_concurrency`: how many children of a step run at once.
    """

    max_countdown: float = 60
    redelivery_timeout: float = 2
    max_redelivery_timeout: float = 600
    lease: float = 3
    retention: float = 30 * 86_400
    max_concurrency: int = 100


@dataclass(frozen=True, slots=True)
class NextEntry:
    """What a frame is settled with: the arguments of `schedule_next`, and the letter and envelope in them."""

    args: list[Argument]
    message: Message | None
    encoded: EncodedMessage


def schedule_next(
    ref: ExecutionRef, info: ExecutionInfo, decision: Decision, token: str, *, timing: Timing, encode: Encode
) -> NextEntry:
    """For a decision after which the frame goes on, under a new token."""
    state, wake = state_of(decision), decision.wake
    if isinstance(wake, AwaitReport):
        return NextEntry(_schedule_args(token, state, "report", timing=timing), None, NOT_IN_SCRIPT)
    if not isinstance(wake, ScheduleStep | ScheduleCall):
        raise TypeError(wake)
    message = Message(
        MessageKey(ref, state.frame, token),
        info.execution_id,
        wake.metadata,
        countdown=wake.after,
        at=wake.at if isinstance(wake, ScheduleStep) else None,
    )
    encoded = encode(message)
    args = _schedule_args(
        token,
        state,
        kind_of(decision),
        timing=timing,
        metadata=dump_metadata(wake.metadata),
        started=_started(wake) if isinstance(wake, ScheduleCall) else "",
        after=wake.after,
        at="" if message.at is None else repr(message.at),
        timeout=wake.timeout if isinstance(wake, ScheduleCall) and wake.timeout is not None else "",
        encoded=encoded,
    )
    return NextEntry(args, message, encoded)


def _schedule_args(
    token: str,
    state: FrameState,
    kind: str,
    *,
    timing: Timing,
    metadata: str = "",
    started: str = "",
    after: float = 0,
    at: str = "",
    timeout: float | str = "",
    encoded: EncodedMessage = NOT_IN_SCRIPT,
) -> list[Argument]:
    return [
        token,
        dump_state(state),
        kind,
        metadata,
        started,
        after,
        at,
        timeout,
        timing.max_countdown,
        timing.redelivery_timeout,
        encoded.head,
        encoded.tail,
    ]


def _started(wake: ScheduleCall) -> str:
    """The TaskStarted event up to the count of starts, which only the script knows."""
    return f'"TaskStarted",{dump_json(wake.metadata.step)},{{"attempt":{wake.metadata.attempt},"start":'


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
    """The state of a decision after which the frame goes on."""
    if decision.state is None:
        raise TypeError("the frame has ended")
    return decision.state


def event_args(history: Sequence[HistoryEvent], values: dict[str, str] | None = None) -> list[Argument]:
    """What `append` takes: the long values, those in `values` included, and the events."""
    found = {} if values is None else values
    events = [deduplicate(event, found) for event in history]
    return [*counted_fields(found), len(events), *events]


def event_args_into(values: dict[str, str], history: Sequence[HistoryEvent]) -> list[Argument]:
    """As `event_args`, but the long values go into `values`, which another `append` of the same script takes."""
    events = [deduplicate(event, values) for event in history]
    return [0, len(events), *events]


def counted_fields(fields: Mapping[str, str]) -> list[Argument]:
    """The number of fields, then name and value of each. Halves of characters, which UTF-8 has not, become `?`."""
    return [len(fields), *(text.encode("utf-8", "replace").decode() for pair in fields.items() for text in pair)]
