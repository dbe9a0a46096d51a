"""`Execution`: a snapshot of an execution's description, and the operations on the execution."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from pollflow.client.actor import actor
from pollflow.client.description import Description, OpenStep, describe, timestamp
from pollflow.errors import (
    DamagedRecord,
    ExecutionAlreadyCompleted,
    ExecutionNotExists,
    InvalidArgument,
    MissingKey,
    WaitTimeout,
)
from pollflow.fdl.model import JsonObject
from pollflow.machine import Status
from pollflow.machine.limits import MAX_CAUSE, MAX_ERROR
from pollflow.runtime import arguments
from pollflow.runtime.container import Container
from pollflow.store import ExecutionRecord, StoredEvent

_MAX_POLL_SECONDS = 0.5
_MAX_EVENT = 1 << 53


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An event of an execution's history. `cause` is the id of the event that caused it, 0 for the first.

    `by` and `reason` are set where a person or another program caused it.
    """

    id: int
    cause: int
    time: datetime
    type: str
    step: str
    detail: JsonObject
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Execution:
    """An immutable snapshot of one run of a flow; `refresh` returns a newer one.

    Two snapshots are equal if they are of the same run. Methods raise ExecutionNotExists after that run was purged,
    even if another execution has the name by then.
    """

    description: Description
    is_new: bool = False
    """Whether `start` created the execution; false if it was already running."""
    _container: Callable[[], Container] = field(repr=False, kw_only=True)
    _by: str = field(repr=False, kw_only=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Execution) and other.description.key == self.description.key

    def __hash__(self) -> int:
        return hash(self.description.key)

    @property
    def flow(self) -> str:
        """The name of its flow."""
        return self.description.flow

    @property
    def name(self) -> str:
        """Its name, unique within the flow."""
        return self.description.name

    @property
    def id(self) -> str:
        """Its random id. An execution that uses the name again has another one."""
        return self.description.id

    @property
    def status(self) -> str:
        """`Running`, `Succeeded`, `Failed`, `Stopped` or `TimedOut`."""
        return self.description.status

    @property
    def input(self) -> JsonObject:
        """The input that it was started with. Raises DamagedRecord, or MissingKey, if it cannot be decoded."""
        self._check("input")
        return self.description.input

    @property
    def output(self) -> JsonObject | None:
        """The output; None unless it succeeded. Raises DamagedRecord, or MissingKey, if it cannot be decoded."""
        self._check("output")
        return self.description.output

    @property
    def error(self) -> str | None:
        """The name of the error that ended it; None if it runs or succeeded."""
        return self.description.error

    @property
    def cause(self) -> str | None:
        """The text that explains the error. Raises MissingKey if this process cannot decode it."""
        if self.description.cause is None and self.description.missing_key:
            self._check("cause")
        return self.description.cause

    @property
    def started_at(self) -> datetime:
        """When it was started, by Redis' clock."""
        return self.description.started_at

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, by Redis' clock."""
        return self.description.ended_at

    @property
    def digest(self) -> str:
        """The SHA-256 of the definition that it runs on."""
        return self.description.digest

    @property
    def open_steps(self) -> tuple[OpenStep, ...]:
        """The steps that it has entered and not left."""
        return self.description.open_steps

    @property
    def definition(self) -> str:
        """The text of the definition that it runs on."""
        return self._container().definitions.text(self.description.digest)

    def refresh(self) -> Execution:
        """Return the execution as it is now."""
        key = self.description.key
        description = describe(self._container(), key.ref)
        if description.key != key:
            raise _purged(self)
        return Execution(description, self.is_new, _container=self._container, _by=self._by)

    def wait(self, timeout: float | None = None) -> Execution:
        """Wait until it has ended, and return the ended execution. Raises WaitTimeout after `timeout` seconds."""
        limit = None if timeout is None else arguments.number("timeout", timeout, unit="seconds")
        deadline = None if limit is None else time.monotonic() + limit
        pause = 0.01
        while not self._record().status.ended:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise WaitTimeout(f'execution "{self.description.key.ref}" is still running after {limit:g} seconds')
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 1.5, _MAX_POLL_SECONDS)
        return self.refresh()

    def history(self, after: int = 0) -> list[HistoryEntry]:
        """Return its events so far whose ids are greater than `after`."""
        return list(self.events(after))

    def events(self, after: int = 0) -> Iterator[HistoryEntry]:
        """Yield the same events as `history`; reads them in slices."""
        after = arguments.integer("after", after, minimum=0, maximum=_MAX_EVENT)
        return (entry_of(event) for event in self._container().reading.whole_history(self.description.key, after))

    def stop(self, error: str = "", cause: str = "", *, by: str | None = None) -> Execution:
        """Stop it and return the stopped execution. Raises ExecutionAlreadyCompleted if it has ended.

        `by`: who stops it; the default is the `by` of the client.
        """
        error, cause = checked_error(error, cause, required=False)
        key = self.description.key
        before = self._container().engine.end(key, Status.STOPPED, error, cause, by=actor(by, self._by))
        if before is not None:
            raise ExecutionAlreadyCompleted(f'execution "{key.ref}" has already ended: {before.value}')
        return self.refresh()

    def purge(self, *, by: str | None = None) -> None:
        """Delete it and its history. Raises InvalidArgument while it runs.

        `by`: who purges it; the default is the `by` of the client.
        """
        who = actor(by, self._by)
        record = self._record()
        if not record.status.ended:
            raise InvalidArgument(f'execution "{record.ref}" is running; stop it before you purge it')
        self._container().maintenance.purge(record, who)

    def _check(self, name: str) -> None:
        if name in self.description.damaged:
            if self.description.missing_key:
                raise MissingKey(self.description.missing_key)
            raise DamagedRecord(f'the {name} of execution "{self.description.key.ref}" cannot be decoded')

    def _record(self) -> ExecutionRecord:
        record = self._container().reading.execution(self.description.key.ref)
        if record.key != self.description.key:
            raise _purged(self)
        return record


def entry_of(event: StoredEvent) -> HistoryEntry:
    """Return the history entry of a stored event."""
    return HistoryEntry(
        event.id, event.cause, timestamp(event.at), event.type, event.step, event.detail, event.by, event.reason
    )


def checked_error(error: str, cause: str, *, required: bool) -> tuple[str, str]:
    """Return an error and a cause. Raises InvalidArgument if one is too long, or a required error is empty."""
    checked = arguments.text("error", error, minimum=int(required), maximum=MAX_ERROR)
    return checked, arguments.text("cause", cause, maximum=MAX_CAUSE)


def _purged(execution: Execution) -> ExecutionNotExists:
    return ExecutionNotExists(f'execution "{execution.description.key.ref}" was purged, and another one has its name')
