"""Starting executions and asking after them, from Python. Knows nothing of how steps run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pollflow.errors import ExecutionAlreadyCompleted, InvalidArgument, WaitTimeout
from pollflow.fdl import Problem, lint, load_flow, read_flow
from pollflow.fdl.model import Flow, JsonObject
from pollflow.machine import ReportedFailed, ReportedSucceeded, Status
from pollflow.runtime.assembly import Assembly, assemble
from pollflow.runtime.functions import Functions
from pollflow.runtime.objects import checked_object
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings
from pollflow.runtime.starting import checked_name
from pollflow.store import ExecutionRecord, ExecutionRef, FlowRecord, Keys, Letter, StoredEvent, connect, translated

_LONGEST_PAUSE_SECONDS = 0.5
_NO_GRACE_SECONDS = 0.001
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


@dataclass(frozen=True, slots=True)
class DeployedFlow:
    """A flow that can be started. `digest` is the SHA-256 of its definition's text."""

    name: str
    digest: str
    created_at: datetime
    modified_at: datetime
    description: str
    definition: str
    warnings: tuple[Problem, ...] = ()
    """What runs but is probably wrong; told when it is deployed."""


class Execution:
    """One run of a flow. Its properties ask Redis; once it has ended they remember."""

    def __init__(self, client: Client, ref: ExecutionRef, record: ExecutionRecord | None = None) -> None:
        self._client = client
        self._ref = ref
        self._ended = record if record is not None and record.status.ended else None

    def __repr__(self) -> str:
        return f"<Execution {self._ref}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Execution) and other._ref == self._ref

    def __hash__(self) -> int:
        return hash(self._ref)

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
        return _moment(self._record().started_at)

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, by Redis' clock."""
        ended_at = self._record().ended_at
        return None if ended_at is None else _moment(ended_at)

    @property
    def digest(self) -> str:
        """The SHA-256 of the definition that it runs on."""
        return self._record().digest

    @property
    def definition(self) -> str:
        """The text of that definition."""
        return self._client._parts.definitions.text(self._record().digest)

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
        return (entry_of(event) for event in self._client._parts.reading.whole_history(self._ref, after))

    def stop(self, error: str = "", cause: str = "") -> Execution:
        """Ends it at once: what runs is cancelled. Raises ExecutionAlreadyCompleted if it has ended."""
        _check_error(error, cause, required=False)
        self._record()
        before = self._client._parts.engine.end(self._ref, Status.STOPPED, error, cause)
        if before is not None:
            raise ExecutionAlreadyCompleted(f"execution {self._ref} has ended already: {before.value}")
        return self

    def purge(self) -> None:
        """Deletes it and all that is left of it. Raises InvalidArgument while it runs."""
        record = self._record()
        if not record.status.ended:
            raise InvalidArgument(f"execution {self._ref} runs; stop it before you purge it")
        self._client._parts.duties.purge(record)

    def _record(self) -> ExecutionRecord:
        if self._ended is not None:
            return self._ended
        record = self._client._parts.reading.execution(self._ref)
        if record.status.ended:
            self._ended = record
        return record


class Client:
    """Deploys flows, starts executions and asks after them.

    `redis_url` is where the state is; `POLLFLOW_REDIS_URL` unless given. Where messages go is read from Redis, as
    the workers wrote it down. All methods may raise StoreUnavailable.
    """

    def __init__(self, redis_url: str | None = None, *, key_prefix: str = "pollflow") -> None:
        url = redis_url or os.environ.get("POLLFLOW_REDIS_URL")
        if not url:
            raise InvalidArgument("where is Redis? Give Client a URL, or set POLLFLOW_REDIS_URL")
        self._redis = connect(url)
        self._keys = Keys(key_prefix)
        self._made: Assembly | None = None

    @property
    def _parts(self) -> Assembly:
        if self._made is None:
            routes, written = Routes.load(self._redis, self._keys)
            settings = Settings.load(written, key_prefix=self._keys.prefix)
            if not routes.in_script:
                # Without the app there is no broker connection: the next sweep publishes, and need not hesitate.
                settings = replace(settings, grace=_NO_GRACE_SECONDS)
            self._made = assemble(
                self._redis,
                settings,
                routes=routes,
                publish=_leave_to_sweep,
                functions=Functions(),
                worker=lambda: "client",
            )
            if written is None:
                # No worker has been there yet: what is known now may be wrong later.
                made, self._made = self._made, None
                return made
        return self._made

    def deploy(
        self, definition: str | os.PathLike[str], name: str | None = None, *, description: str = ""
    ) -> DeployedFlow:
        """Deploys a flow from a file. Executions that run keep the definition that they started with.

        `name` is the file's, `_` read as `-`, unless given. Raises DefinitionError with everything that is wrong.
        """
        path = Path(definition)
        flow = load_flow(path)
        return self._deploy(flow, name or name_of_file(path), description, str(path))

    def deploy_text(self, text: str, name: str, *, description: str = "") -> DeployedFlow:
        """As `deploy`, from the definition's text."""
        return self._deploy(read_flow(text), name, description, "<definition>")

    def flow(self, name: str) -> DeployedFlow:
        """A deployed flow. Raises FlowNotExists."""
        return self._deployed(self._parts.definitions.flow(name))

    def flows(self) -> list[DeployedFlow]:
        """All deployed flows, by name."""
        definitions = self._parts.definitions
        return [self._deployed(definitions.flow(name)) for name in definitions.names()]

    def start(
        self, flow: str, input: JsonObject | None = None, *, name: str | None = None, durable: bool = False
    ) -> Execution:
        """Starts an execution; with the name of one that runs, answers that one.

        `durable`: answers only when the append-only file of Redis has it. Raises FlowNotExists,
        ExecutionAlreadyExists if one of that name has ended, InvalidArgument, EntityTooLarge, NotDurable. After
        NotDurable and StoreUnavailable it may be there or not: starting again under the same name settles it.
        """
        given: Any = {} if input is None else input
        return Execution(self, self._parts.starter.start(flow, given, name, durable=durable))

    def execution(self, flow: str, name: str) -> Execution:
        """An execution that exists. Raises ExecutionNotExists."""
        ref = ExecutionRef(flow, name)
        return Execution(self, ref, self._parts.reading.execution(ref))

    def executions(
        self,
        *,
        flow: str | None = None,
        status: str | None = None,
        limit: int = 100,
        before: datetime | None = None,
    ) -> list[Execution]:
        """Executions, the latest first: of one flow or all, in one status or any, started before a moment."""
        found = self._parts.reading.executions(
            flow=flow,
            status=_status(status),
            most=limit,
            before=None if before is None else before.timestamp(),
        )
        return [Execution(self, record.ref, record) for record in found]

    def report_succeeded(self, token: str, output: JsonObject | None = None) -> None:
        """Reports a task that waits for a callback. Raises InvalidTaskToken, TaskAlreadyCompleted, EntityTooLarge."""
        given = checked_object("output", {} if output is None else output, self._parts.settings.max_data_bytes)
        self._parts.engine.report(token, ReportedSucceeded(given))

    def report_failed(self, token: str, error: str, cause: str = "") -> None:
        """Reports that such a task failed; `retry` and `catch` of its step decide."""
        _check_error(error, cause, required=True)
        self._parts.engine.report(token, ReportedFailed(error, cause))

    def functions(self, *, within: float | None = None) -> list[str]:
        """The names of the functions that workers have registered so far, or in the last `within` seconds."""
        with translated():
            found: dict[str, str] = self._redis.hgetall(self._keys.functions())
        since = 0.0 if within is None else self._parts.reading.now() - within
        return sorted(name for name, registered_at in found.items() if float(registered_at) >= since)

    def close(self) -> None:
        """Closes the connections."""
        self._redis.close()

    def _deploy(self, flow: Flow, name: str, description: str, path: str) -> DeployedFlow:
        checked_name("a flow", name)
        parts = self._parts
        record = parts.definitions.deploy(name, flow.digest, flow.text, parts.reading.now(), description)
        warnings = lint(
            flow,
            known_functions=self.functions() or None,
            flow_name=name,
            event_limit=parts.settings.max_events,
            path=path,
        )
        return replace(self._deployed(record), warnings=warnings)

    def _deployed(self, record: FlowRecord) -> DeployedFlow:
        return DeployedFlow(
            name=record.name,
            digest=record.digest,
            created_at=_moment(record.created_at),
            modified_at=_moment(record.modified_at),
            description=record.description,
            definition=self._parts.definitions.text(record.digest),
        )


def name_of_file(path: Path) -> str:
    """The name of the flow in a file: `flows/task_polling.yaml` holds `task-polling`."""
    return path.name.partition(".")[0].replace("_", "-")


def _leave_to_sweep(letter: Letter) -> None:
    """The workers' sweep publishes what the script could not."""


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def entry_of(event: StoredEvent) -> HistoryEntry:
    """An event of the store as users see it."""
    return HistoryEntry(event.id, event.cause, _moment(event.at), event.type, event.step, event.detail)


def _status(status: str | None) -> Status | None:
    if status is None:
        return None
    for known in Status:
        if known.value.lower() == status.lower():
            return known
    raise InvalidArgument(f"{status!r} is no status; there are {', '.join(known.value for known in Status)}")


def _check_error(error: str, cause: str, *, required: bool) -> None:
    if (required and not error) or len(error) > _ERROR_LENGTH:
        raise InvalidArgument(f"error must have {int(required)} to {_ERROR_LENGTH} characters")
    if len(cause) > _CAUSE_LENGTH:
        raise InvalidArgument(f"cause must have at most {_CAUSE_LENGTH} characters")
