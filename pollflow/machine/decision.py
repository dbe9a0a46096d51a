"""The results of `decide`: values that the store commits and the runtime carries out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from pollflow.fdl.model import JsonObject
from pollflow.machine.state import FrameState


class Status(str, Enum):
    """The status of an execution, as users see it."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    TIMED_OUT = "TimedOut"

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self is not Status.RUNNING


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """An event as history keeps it, before the store assigns its number and time."""

    type: str
    step: str = ""
    detail: JsonObject = field(default_factory=dict)
    by: str = ""
    """The person or program that caused the event; empty for pollflow itself."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MessageMetadata:
    """The readable part of the next message: step type, step name, attempt, entry number and visit of the step.

    The message of a wait names the step that follows it, which is the step it starts. With `is_callback` the step waits
    for a callback and ignores the result of its function; `timeout` then limits an attempt, in seconds. `before` is the
    entry whose message led to this one, if steps between them ran inline; otherwise it is the entry before.
    """

    type: str
    step: str
    attempt: int = 1
    entry: int = 1
    visit: int = 1
    is_callback: bool = False
    timeout: float | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class ScheduleStep:
    """The entry continues when its message arrives: at once, `after` seconds from the commit, or `at` a moment."""

    metadata: MessageMetadata
    after: float = 0
    at: float | None = None


@dataclass(frozen=True, slots=True)
class ScheduleCall:
    """Like `ScheduleStep`, for a call: it holds a lease, is counted, and may take `timeout` seconds."""

    metadata: MessageMetadata
    after: float = 0
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class AwaitReport:
    """The entry continues when its result is reported; the deadline of its call stays."""


@dataclass(frozen=True, slots=True)
class AwaitChildren:
    """The entry continues when its children end. `total` is set once, at the start."""

    metadata: MessageMetadata
    total: int | None = None


Wake: TypeAlias = ScheduleStep | ScheduleCall | AwaitReport | AwaitChildren


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an ended frame, and of the execution if the frame is its root or failed.

    A branch or iteration that succeeded has `local` as its result; any failure is the execution's.
    """

    status: Status
    output: JsonObject | None = None
    error: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The consequences of an event.

    Exactly one of `state` (the frame continues as `wake` says) and `outcome` (the frame has ended) is set.
    `spawn` are the first decisions of new child frames.
    """

    history: tuple[HistoryEvent, ...]
    state: FrameState | None = None
    wake: Wake | None = None
    outcome: Outcome | None = None
    spawn: tuple[Decision, ...] = ()

    @property
    def events(self) -> int:
        """The number of its events, with those of the new child frames."""
        return len(self.history) + sum(child.events for child in self.spawn)
