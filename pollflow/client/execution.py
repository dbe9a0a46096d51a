"""One execution as users see it: what they may ask of it, and do to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from pollflow.errors import ExecutionAlreadyCompleted, ExecutionNotExists, InvalidArgument, WaitTimeout
from pollflow.fdl.model import JsonObject
from pollflow.machine import Status
from pollflow.runtime.container import Container
from pollflow.store import ExecutionKey, ExecutionRecord, StoredEvent

_LONGEST_PAUSE_SECONDS = 0.5
_ERROR_LENGTH, _CAUSE_LENGTH = 128, 4096


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An event of an execution's history. `cause` is the id of the event that caused it, 0 for the first."""

    id: int
    cause: int
    time: datetime
    type: str
    step: str
    detail: JsonObject


class Execution:
    """One run of a flow. Its properties ask Redis; once it has ended they remember."""

    def __init__(
        self,
        container: Callable[[], Container],
        key: ExecutionKey,
        record: ExecutionRecord | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        self.is_new = is_new
        """Whether the `start` that answered this started it, and did not find it running."""
        self._container = container
        self._key = key
        self._ref = key.ref
        self._ended = record if record is not None and record.status.ended else None

    def __repr__(self) -> str:
        return f"<Execution {self._ref}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Execution) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def flow(self) -> str:
        """The name of its flow."""
        return self._ref.flow

    @property
    def name(self) -> str:
        """Its name, unique within the flow."""
        return self._ref.name

    @property
    def id(self) -> str:
        """Its id: random, and another one if the name is ever used again."""
        return self._record().id

    @property
    def status(self) -> str:
        """`Running`, `Succeeded`, `Failed`, `Stopped` or `TimedOut`."""
        return self._record().status.value

    @property
    def input(self) -> JsonObject:
        """What it was started with."""
        return self._record().input

    @property
    def output(self) -> JsonObject | None:
        """What it succeeded with; None otherwise."""
        return self._record().output

    @property
    def error(self) -> str | None:
        """The name of the error that ended it; None if it runs or succeeded."""
        return self._record().error

    @property
    def cause(self) -> str | None:
        """The text beside the error."""
        return self._record().cause

    @property
    def started_at(self) -> datetime:
        """When it was started, by Redis' clock."""
        return moment_of(self._record().started_at)

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, by Redis' clock."""
        ended_at = self._record().ended_at
        return None if ended_at is None else moment_of(ended_at)

    @property
    def digest(self) -> str:
        """The SHA-256 of the definition that it runs on."""
        return self._record().digest

    @property
    def definition(self) -> str:
        """The text of that definition."""
        return self._container().definitions.text(self._record().digest)

    def wait(self, timeout: float | None = None) -> Execution:
        """Waits until it has ended, and answers itself. Raises WaitTimeout after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.01
        while not self._record().status.ended:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise WaitTimeout(f"execution {self._ref} still runs after {timeout:g} seconds")
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        return self

    def history(self, after: int = 0) -> list[HistoryEntry]:
        """Its events so far, those with ids greater than `after`."""
        return list(self.events(after))

    def events(self, after: int = 0) -> Iterator[HistoryEntry]:
        """As `history`, read as one goes."""
        self._record()
        return (entry_of(event) for event in self._container().reading.whole_history(self._key, after))

    def stop(self, error: str = "", cause: str = "") -> Execution:
        """Ends it at once: what runs is cancelled. Raises ExecutionAlreadyCompleted if it has ended."""
        check_error(error, cause, required=False)
        self._record()
        before = self._container().engine.end(self._key, Status.STOPPED, error, cause)
        if before is not None:
            raise ExecutionAlreadyCompleted(f"execution {self._ref} has ended already: {before.value}")
        return self

    def purge(self) -> None:
        """Deletes it and all that is left of it. Raises InvalidArgument while it runs."""
        record = self._record()
        if not record.status.ended:
            raise InvalidArgument(f"execution {self._ref} runs; stop it before you purge it")
        self._container().maintenance.purge(record)

    def _record(self) -> ExecutionRecord:
        if self._ended is not None:
            return self._ended
        record = self._container().reading.execution(self._ref)
        if record.key != self._key:
            raise ExecutionNotExists(f'execution "{self._ref}" was purged, and another one has its name')
        if record.status.ended:
            self._ended = record
        return record


def entry_of(event: StoredEvent) -> HistoryEntry:
    """An event of the store as users see it."""
    return HistoryEntry(event.id, event.cause, moment_of(event.at), event.type, event.step, event.detail)


def moment_of(seconds: float) -> datetime:
    """Epoch seconds as users see them."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def check_error(error: str, cause: str, *, required: bool) -> None:
    """Raises InvalidArgument for an error or cause that is too long, or an error that is missing."""
    if (required and not error) or len(error) > _ERROR_LENGTH:
        raise InvalidArgument(f"error must have {int(required)} to {_ERROR_LENGTH} characters")
    if len(cause) > _CAUSE_LENGTH:
        raise InvalidArgument(f"cause must have at most {_CAUSE_LENGTH} characters")
