"""Turns a Decision into what the scripts take. Nothing in here reads or writes Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pollflow.machine import About, Call, Decision, FrameState, HistoryEvent, Message, Report
from pollflow.store.folding import fold
from pollflow.store.keys import ExecutionRef
from pollflow.store.records import (
    NOT_IN_SCRIPT,
    Address,
    Envelope,
    Letter,
    dump_hint,
    dump_json,
    dump_state,
)
from pollflow.store.scripts import Argument

Post = Callable[[Letter], Envelope]


@dataclass(frozen=True, slots=True)
class Timing:
    """When entries need attention, in seconds.

    `horizon`: the longest countdown that is published; longer waits stay in the index until then.
    `grace`: how long a message may be on its way before it is taken for lost; doubled up to `longest_grace`.
    `lease`: how long a call may go without a sign of life from its worker.
    `retention`: how long an ended execution is kept. `width`: how many children of a step run at once.
    """

    horizon: float = 60
    grace: float = 2
    longest_grace: float = 600
    lease: float = 3
    retention: float = 30 * 86_400
    width: int = 100


@dataclass(frozen=True, slots=True)
class Settled:
    """What a frame is settled with: the arguments of `settle`, and the letter and envelope in them."""

    args: list[Argument]
    letter: Letter | None
    envelope: Envelope


def settle(ref: ExecutionRef, about: About, decision: Decision, token: str, *, timing: Timing, post: Post) -> Settled:
    """For a decision after which the frame goes on, under a new token."""
    state, wake = state_of(decision), decision.wake
    if isinstance(wake, Report):
        return Settled(_settle_args(token, state, "report", timing=timing), None, NOT_IN_SCRIPT)
    if not isinstance(wake, Message | Call):
        raise TypeError(wake)
    letter = Letter(
        Address(ref, state.frame, token),
        about.execution_id,
        wake.hint,
        countdown=wake.after,
        at=wake.at if isinstance(wake, Message) else None,
    )
    envelope = post(letter)
    args = _settle_args(
        token,
        state,
        kind_of(decision),
        timing=timing,
        hint=dump_hint(wake.hint),
        started=_started(wake) if isinstance(wake, Call) else "",
        after=wake.after,
        at="" if letter.at is None else repr(letter.at),
        timeout=wake.timeout if isinstance(wake, Call) and wake.timeout is not None else "",
        envelope=envelope,
    )
    return Settled(args, letter, envelope)


def _settle_args(
    token: str,
    state: FrameState,
    kind: str,
    *,
    timing: Timing,
    hint: str = "",
    started: str = "",
    after: float = 0,
    at: str = "",
    timeout: float | str = "",
    envelope: Envelope = NOT_IN_SCRIPT,
) -> list[Argument]:
    return [
        token,
        dump_state(state),
        kind,
        hint,
        started,
        after,
        at,
        timeout,
        timing.horizon,
        timing.grace,
        envelope.head,
        envelope.tail,
    ]


def _started(wake: Call) -> str:
    """The TaskStarted event up to the count of starts, which only the script knows."""
    return f'"TaskStarted",{dump_json(wake.hint.step)},{{"attempt":{wake.hint.attempt},"start":'


def kind_of(decision: Decision) -> str:
    """How the script treats the frame: `message`, `call`, `report` or `children`."""
    return type(decision.wake).__name__.lower()


def state_of(decision: Decision) -> FrameState:
    """The state of a decision after which the frame goes on."""
    if decision.state is None:
        raise TypeError("the frame has ended")
    return decision.state


def folded_events(history: Sequence[HistoryEvent], values: dict[str, str] | None = None) -> list[Argument]:
    """What `append` takes: the long values, those in `values` included, and the events."""
    found = {} if values is None else values
    events = [fold(event, found) for event in history]
    return [*counted_fields(found), len(events), *events]


def events_folded_into(values: dict[str, str], history: Sequence[HistoryEvent]) -> list[Argument]:
    """As `folded_events`, but the long values go into `values`, which another `append` of the same script takes."""
    events = [fold(event, values) for event in history]
    return [0, len(events), *events]


def counted_fields(fields: Mapping[str, str]) -> list[Argument]:
    """The number of fields, then name and value of each. Halves of characters, which UTF-8 has not, become `?`."""
    return [len(fields), *(text.encode("utf-8", "replace").decode() for pair in fields.items() for text in pair)]
