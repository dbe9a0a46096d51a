"""The description of an execution: one typed answer to what it does now. All views of executions are made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from pollflow.errors import DamagedRecord, ExecutionNotExists, FlowNotExists, MissingKey, UnreadableRecord
from pollflow.fdl.model import JsonObject
from pollflow.machine.data import step_at
from pollflow.runtime.container import Container
from pollflow.store import ExecutionKey, ExecutionRecord, ExecutionRef, FrameRecord, Snapshot, Started

_UNKNOWN = "?"
_SOME_STEPS = 500
"""Open steps of each execution in a list."""
_ALL_STEPS = 1_000_000
"""Open steps of one execution: nested map steps may have more than ten thousand."""


class StepState(str, Enum):
    """What an open step does."""

    WAITING = "waiting"
    """A wait that has not ended."""
    QUEUED = "queued"
    """Its message is on the way to a worker; or its worker has died, and the call starts again when its lease ends."""
    RUNNING = "running"
    """A worker runs its call."""
    RETRYING = "retrying"
    """Its last attempt failed, and the next one is not due yet."""
    CALLBACK = "callback"
    """Its call has returned, and the step waits for a report or for the end of a sub-flow."""
    CHILDREN = "children"
    """Its branches or iterations run."""


@dataclass(frozen=True, slots=True)
class OpenStep:
    """A step that has been entered and not left. Times are by Redis' clock.

    `visit` counts the visits of this step within its frame (the flow, a branch or an iteration), this one included;
    `attempt` counts the calls in this visit. `due_at` is when a wait or the pause before a retry ends,
    `deadline_at` when the attempt times out. `worker` runs the call. `last_error` is the error of the attempt before.
    """

    name: str
    type: str
    frame: str
    visit: int
    attempt: int
    state: StepState
    since: datetime
    due_at: datetime | None = None
    deadline_at: datetime | None = None
    worker: str | None = None
    last_error: str | None = None
    reason: str | None = None
    """Why a queued call was released by its worker, such as a function that the worker lacks."""


@dataclass(frozen=True, slots=True)
class Description:
    """An execution as it was when it was read."""

    flow: str
    name: str
    id: str
    incarnation: int
    status: str
    """`Running`, `Succeeded`, `Failed`, `Stopped` or `TimedOut`."""
    input: JsonObject
    output: JsonObject | None
    """The output; None unless it succeeded."""
    error: str | None
    """The name of the error that ended it; None if it runs or succeeded."""
    cause: str | None
    started_at: datetime
    ended_at: datetime | None
    digest: str
    """The SHA-256 of the definition that it runs on."""
    events: int
    open_steps: tuple[OpenStep, ...]
    damaged: tuple[str, ...] = ()
    """What is stored and cannot be decoded: fields, which are empty here, and frames, which are left out."""
    missing_key: str = ""
    """Why this process cannot decode some of these fields: it lacks their key or codec. Empty if it lacks none."""

    @property
    def key(self) -> ExecutionKey:
        """The key of this very run."""
        return ExecutionKey(ExecutionRef(self.flow, self.name), self.id, self.incarnation)


def describe(container: Container, ref: ExecutionRef) -> Description:
    """Return the description of one execution. Raises ExecutionNotExists."""
    found = describe_all(container, [ref], _ALL_STEPS)
    if not found:
        raise ExecutionNotExists(f'execution "{ref}" does not exist')
    return found[0]


def describe_all(container: Container, refs: Sequence[ExecutionRef], max_steps: int = _SOME_STEPS) -> list[Description]:
    """Return the descriptions of executions that exist, in two round trips, and one for each unknown definition.

    Each has up to `max_steps` open steps.
    """
    now, snapshots = container.reading.snapshots(refs, max_steps)
    return [_description(container, snapshot, now) for snapshot in snapshots]


def describe_started(container: Container, started: Started) -> Description:
    """Return the description of an execution at its start. Reads only if the start did not make it.

    Raises ExecutionNotExists if it was purged meanwhile.
    """
    if started.snapshot is None:
        return describe(container, started.key.ref)
    return _description(container, started.snapshot, started.at)


def timestamp(seconds: float) -> datetime:
    """Return epoch seconds as users see them."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def _description(container: Container, snapshot: Snapshot, now: float) -> Description:
    record = snapshot.execution
    has_ended = record.status.ended
    data = _Data(record)
    return Description(
        flow=record.ref.flow,
        name=record.ref.name,
        id=record.id,
        incarnation=record.key.incarnation,
        status=record.status.value,
        input=data.read("input") or {},
        output=data.read("output"),
        error=record.error,
        cause=data.read("cause"),
        started_at=timestamp(record.started_at),
        ended_at=None if record.ended_at is None else timestamp(record.ended_at),
        digest=record.digest,
        events=record.events,
        open_steps=() if has_ended else _open_steps(container, snapshot, now),
        damaged=(*data.damaged, *snapshot.damaged),
        missing_key=data.missing_key,
    )


class _Data:
    """Reads the data of users of an execution, and notes what cannot be decoded."""

    def __init__(self, record: ExecutionRecord) -> None:
        self._record = record
        self.damaged: list[str] = []
        self.missing_key = ""

    def read(self, name: str) -> Any:
        """Return an attribute of the record; None if it cannot be decoded."""
        try:
            return getattr(self._record, name)
        except MissingKey as error:
            self.missing_key = str(error)
        except DamagedRecord:
            pass
        self.damaged.append(name)
        return None


def _open_steps(container: Container, snapshot: Snapshot, now: float) -> tuple[OpenStep, ...]:
    """Return the open steps in the order of their frames, where `r.1.10` follows `r.1.9`."""
    frames = sorted(snapshot.frames, key=lambda record: [int(part) for part in record.frame.split(".")[1:]])
    return tuple(_open_step(container, snapshot.execution.digest, record, now) for record in frames)


def _open_step(container: Container, digest: str, record: FrameRecord, now: float) -> OpenStep:
    state = _state_of(record, now)
    name, kind, visit, attempt, last_error = _step_of(container, digest, record)
    return OpenStep(
        name=name,
        type=kind,
        frame=record.frame,
        visit=visit,
        attempt=attempt,
        state=state,
        since=timestamp(record.since),
        due_at=timestamp(record.due) if state in (StepState.WAITING, StepState.RETRYING) else None,
        deadline_at=None if record.deadline is None else timestamp(record.deadline),
        worker=record.claim.rpartition(".")[0] if state is StepState.RUNNING else None,
        last_error=last_error,
        reason=record.reason or None if state is StepState.QUEUED else None,
    )


def _state_of(record: FrameRecord, now: float) -> StepState:
    match record.kind:
        case "report":
            return StepState.CALLBACK
        case "children":
            return StepState.CHILDREN
        case "call" if record.claim and record.lease > now:
            return StepState.RUNNING
        case "call" if record.due > now and not record.reason:
            return StepState.RETRYING
        case "step" if record.due > now:
            return StepState.WAITING
        case _:
            return StepState.QUEUED


def _step_of(container: Container, digest: str, record: FrameRecord) -> tuple[str, str, int, int, str | None]:
    """Return name, type, visit, attempt and last error of the step that a frame is at.

    Where the state or the definition cannot be read, they are those of the message, and the visit is 1.
    """
    metadata = record.metadata
    try:
        state = record.state
        step = step_at(container.engine.flows.get(digest), state.levels[-1])
    except (UnreadableRecord, DamagedRecord, FlowNotExists, ValueError, LookupError, TypeError):
        return metadata.step or _UNKNOWN, metadata.type, 1, metadata.attempt, None
    return step.name, step.type, state.visit, state.attempt, state.last_error or None
