"""What `decide` answers: values that the store commits and the runtime carries out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from pollflow.fdl.model import JsonObject
from pollflow.machine.state import FrameState


class Status(str, Enum):
    """What users see of an execution."""

    STARTING = "Starting"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    TIMED_OUT = "TimedOut"

    @property
    def ended(self) -> bool:
        """Whether nothing can change it any more."""
        return self not in (Status.STARTING, Status.RUNNING)


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """An event as history keeps it, before the store gives it its number and moment."""

    type: str
    step: str = ""
    detail: JsonObject = field(default_factory=dict)
    by: str = ""
    """Who caused it, where a person or another program did."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MessageMetadata:
    """What the next message says of itself to people: the step type, the step's name, the attempt, the entry's number.

    A wait's message says the step that follows, since that is the one it brings. `is_callback`: the step waits for a
    callback, so that the return of its function decides nothing; `timeout` is then what an attempt may take (seconds).
    """

    type: str
    step: str
    attempt: int = 1
    entry: int = 1
    is_callback: bool = False
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class ScheduleStep:
    """The entry goes on when its message arrives: at once, `after` seconds from the commit, or `at` a moment."""

    metadata: MessageMetadata
    after: float = 0
    at: float | None = None


@dataclass(frozen=True, slots=True)
class ScheduleCall:
    """As `ScheduleStep`, and what arrives is a call: it is leased, counted, and may take `timeout` seconds."""

    metadata: MessageMetadata
    after: float = 0
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class AwaitReport:
    """The entry goes on when somebody reports; the deadline of its call holds on."""


@dataclass(frozen=True, slots=True)
class AwaitChildren:
    """The entry goes on when children end. `total` is set once, at the start."""

    metadata: MessageMetadata
    total: int | None = None


Wake: TypeAlias = ScheduleStep | ScheduleCall | AwaitReport | AwaitChildren


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a frame, and with it perhaps the execution, has ended.

    A branch or iteration that succeeded has `local` as its result; any failure is the execution's.
    """

    status: Status
    output: JsonObject | None = None
    error: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from an event.

    Exactly one of `state` (the frame goes on, when `wake` says) and `outcome` (it has ended) is set.
    `spawn` are the first decisions of new child frames.
    """

    history: tuple[HistoryEvent, ...]
    state: FrameState | None = None
    wake: Wake | None = None
    outcome: Outcome | None = None
    spawn: tuple[Decision, ...] = ()
