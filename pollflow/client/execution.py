"""An execution as users see it: a snapshot of its description, and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from pollflow.client.description import Description, OpenStep, describe, timestamp
from pollflow.errors import ExecutionAlreadyCompleted, ExecutionNotExists, InvalidArgument, WaitTimeout
from pollflow.fdl.model import JsonObject
from pollflow.machine import Status
from pollflow.runtime.container import Container
from pollflow.store import ExecutionRecord, StoredEvent

_MAX_PAUSE_SECONDS = 0.5
_ERROR_LENGTH, _CAUSE_LENGTH = 128, 4096


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
    """One run of a flow, as it was when it was read; `refresh` reads it again. It never changes.

    Two snapshots are equal if they are of the same run. Methods raise ExecutionNotExists once that run was purged, also
    if another execution has its name by then.
    """

    description: Description
    is_new: bool = False
    """Whether the `start` that returned this has started it, and did not find it running."""
    _container: Callable[[], Container] = field(repr=False, kw_only=True)

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
        """What it was started with."""
        return self.description.input

    @property
    def output(self) -> JsonObject | None:
        """What it succeeded with; None otherwise."""
        return self.description.output

    @property
    def error(self) -> str | None:
        """The name of the error that ended it; None if it runs or succeeded."""
        return self.description.error

    @property
    def cause(self) -> str | None:
        """The text that explains the error."""
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
        """The steps that it has entered and not left: what it does now."""
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
        return Execution(description, self.is_new, _container=self._container)

    def wait(self, timeout: float | None = None) -> Execution:
        """Wait until it has ended, and return it as it is then. Raises WaitTimeout after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.01
        while not self._record().status.ended:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise WaitTimeout(f'execution "{self.description.key.ref}" still runs after {timeout:g} seconds')
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 1.5, _MAX_PAUSE_SECONDS)
        return self.refresh()

    def history(self, after: int = 0) -> list[HistoryEntry]:
        """Return its events so far, those with ids greater than `after`."""
        return list(self.events(after))

    def events(self, after: int = 0) -> Iterator[HistoryEntry]:
        """Yield its events so far, as `history`, read in slices."""
        return (entry_of(event) for event in self._container().reading.whole_history(self.description.key, after))

    def stop(self, error: str = "", cause: str = "") -> Execution:
        """End it at once and return it as it is then. Raises ExecutionAlreadyCompleted if it has ended."""
        check_error(error, cause, required=False)
        key = self.description.key
        before = self._container().engine.end(key, Status.STOPPED, error, cause)
        if before is not None:
            raise ExecutionAlreadyCompleted(f'execution "{key.ref}" has ended already: {before.value}')
        return self.refresh()

    def purge(self) -> None:
        """Delete it and all that is left of it. Raises InvalidArgument while it runs."""
        record = self._record()
        if not record.status.ended:
            raise InvalidArgument(f'execution "{record.ref}" runs; stop it before you purge it')
        self._container().maintenance.purge(record)

    def _record(self) -> ExecutionRecord:
        record = self._container().reading.execution(self.description.key.ref)
        if record.key != self.description.key:
            raise _purged(self)
        return record


def entry_of(event: StoredEvent) -> HistoryEntry:
    """Return an event of the store as users see it."""
    return HistoryEntry(
        event.id, event.cause, timestamp(event.at), event.type, event.step, event.detail, event.by, event.reason
    )


def check_error(error: str, cause: str, *, required: bool) -> None:
    """Raise InvalidArgument for an error or cause that is too long, or an error that is missing."""
    if (required and not error) or len(error) > _ERROR_LENGTH:
        raise InvalidArgument(f"error must have {int(required)} to {_ERROR_LENGTH} characters")
    if len(cause) > _CAUSE_LENGTH:
        raise InvalidArgument(f"cause must have at most {_CAUSE_LENGTH} characters")


def _purged(execution: Execution) -> ExecutionNotExists:
    return ExecutionNotExists(f'execution "{execution.description.key.ref}" was purged, and another one has its name')
