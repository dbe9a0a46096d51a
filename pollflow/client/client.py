"""`Client`: deploy flows, start and read executions, report callbacks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pollflow.client.actor import actor, os_user
from pollflow.client.description import Description, describe, describe_all, describe_started, timestamp
from pollflow.client.execution import Execution, checked_error
from pollflow.client.filters import flow_filter, status_filter
from pollflow.client.names import name_of_file
from pollflow.client.registered import RegisteredContainer
from pollflow.client.similar import missing_execution
from pollflow.client.source import find_source
from pollflow.client.starts import descriptions_of, note_started, unique_names
from pollflow.errors import DamagedRecord, ExecutionNotExists, FlowNotExists, PollflowError
from pollflow.fdl import NO_FILE, Problem, lint, load_flow, read_flow
from pollflow.fdl.model import Flow, JsonObject
from pollflow.machine import ReportedFailed, ReportedSucceeded
from pollflow.runtime import arguments
from pollflow.runtime.container import Container
from pollflow.runtime.objects import checked_object
from pollflow.runtime.settings import Settings
from pollflow.store import AuditRecord, ExecutionRef, FlowRecord, Keys, connect

if TYPE_CHECKING:
    from celery import Celery

_MAX_EXECUTIONS = 10_000

logger = logging.getLogger("pollflow")


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
    """The warnings of lint; only `deploy` and `deploy_text` set them."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A deploy, stop, purge or rotation of keys. `name` and `id` are those of the execution.

    Texts that do not apply to the operation are empty.
    """

    operation: str
    """`deploy`, `stop`, `purge` or `rotate`."""
    time: datetime
    by: str
    flow: str
    name: str = ""
    id: str = ""
    error: str = ""
    """The error that a stop gave."""
    digest: str = ""
    """The digest of the deployed definition."""
    key_id: str = ""
    """The key that a rotation encodes with."""


class Client:
    """Deploys flows, starts executions and reads them.

    `source` is a Celery app that was attached, or the URL of the Redis that keeps the state. The default is the app of
    this process if exactly one was attached, else `POLLFLOW_REDIS_URL`. From an app the client takes the Redis, key
    prefix, settings and queues, and its broker connection where the broker is not that Redis. With a URL the client
    reads the queues and settings that workers have registered, and reads them again every few seconds. All methods may
    raise StoreUnavailable. The client is a context manager that closes its connections.

    `by` says who uses the client, in 1 to 128 characters; the default is `USER@HOST`, as the operating system names
    them. Starts, stops, purges, deploys and reports record it, and may name someone else by their own `by`.
    """

    def __init__(
        self, source: Celery | str | None = None, *, key_prefix: str | None = None, by: str | None = None
    ) -> None:
        self._by = actor(by, os_user())
        location, attached = find_source(source, key_prefix)
        keys = Keys(attached.settings.key_prefix) if attached else Keys(key_prefix) if key_prefix else Keys()
        self._redis = connect(location)
        self._registered = RegisteredContainer(self._redis, keys, attached)

    @property
    def _container(self) -> Container:
        return self._registered.current()

    @property
    def settings(self) -> Settings:
        """The settings that workers have registered; the defaults before the first worker starts."""
        return self._container.settings

    def deploy(
        self,
        definition: str | os.PathLike[str],
        name: str | None = None,
        *,
        description: str = "",
        by: str | None = None,
    ) -> DeployedFlow:
        """Deploy a flow from a file. Running executions keep the definition that they started with.

        The default of `name` is the file name with `-` for `_`. Raises DefinitionError with all problems.
        """
        path = Path(arguments.path("definition", definition))
        name, who = _deployable("name", name_of_file(path) if name is None else name, description), actor(by, self._by)
        settings = self.settings
        flow = load_flow(path, max_wait_seconds=settings.max_wait, max_bytes=settings.max_definition_bytes)
        return self._deploy(flow, name, description, str(path), who)

    def deploy_text(
        self, text: str, name: str, *, description: str = "", path: str = NO_FILE, by: str | None = None
    ) -> DeployedFlow:
        """Deploy a flow from the text of its definition. Problems show `path` as its file."""
        arguments.instance("text", text, str, "the text of a definition")
        arguments.text("path", path)
        name, who = _deployable("name", name, description), actor(by, self._by)
        settings = self.settings
        flow = read_flow(text, path=path, max_wait_seconds=settings.max_wait, max_bytes=settings.max_definition_bytes)
        return self._deploy(flow, name, description, path, who)

    def flow(self, name: str) -> DeployedFlow:
        """Return a deployed flow. Raises FlowNotExists."""
        return self._deployed(self._container.definitions.flow(arguments.name("name", name)))

    def flows(self) -> list[DeployedFlow]:
        """Return all deployed flows, by name. One whose record or definition is damaged is logged and left out."""
        definitions = self._container.definitions
        found = []
        for name in definitions.names():
            try:
                found.append(self._deployed(definitions.flow(name)))
            except (FlowNotExists, DamagedRecord) as error:
                logger.warning('flow "%s" cannot be listed: %s', name, error)
        return found

    def start(
        self,
        flow: str,
        input: JsonObject | None = None,
        *,
        name: str | None = None,
        durable: bool = False,
        by: str | None = None,
    ) -> Execution:
        """Start an execution, or return the running one of that name; `is_new` tells which.

        `durable`: return only after the append-only file has acknowledged the start. Raises FlowNotExists,
        ExecutionAlreadyExists if an execution of that name has ended, InvalidArgument, EntityTooLarge, NotDurable.
        After NotDurable and StoreUnavailable the execution may or may not exist; starting it again under the same
        name is safe.
        """
        flow = arguments.name("flow", flow)
        name = None if name is None else arguments.name("name", name)
        arguments.boolean("durable", durable)
        execution_input: Any = {} if input is None else input
        container = self._container
        started = container.starter.start(flow, execution_input, name, durable=durable, by=actor(by, self._by))
        return self._execution(describe_started(container, started), is_new=started.is_new)

    def start_many(
        self,
        flow: str,
        inputs: Iterable[JsonObject],
        *,
        names: Iterable[str] | None = None,
        durable: bool = False,
        by: str | None = None,
    ) -> list[Execution]:
        """Start an execution for each input, and return them in this order. One round trip starts up to 500 of them.

        `names` has a unique name for each. An execution of such a name that already exists is returned, with `is_new`
        false, even if it has ended or has another input. `durable`: return only after the append-only file has
        acknowledged all starts.

        All inputs and names are checked before the first start: FlowNotExists, InvalidArgument, EntityTooLarge. Each
        start is atomic; all together are not. If an error such as StoreUnavailable, StoreFull or NotDurable ends the
        call, `started` of the error has the executions that are known to be started, by the index of the input. Others
        may have been started too, so only a repetition with the same `names` starts each execution once.
        """
        flow = arguments.name("flow", flow)
        objects = arguments.items("inputs", inputs, (object,), "a collection of JSON objects (dicts)")
        checked_names = None if names is None else unique_names(names, len(objects))
        options: dict[str, Any] = {"durable": arguments.boolean("durable", durable), "by": actor(by, self._by)}
        container, found = self._container, dict[int, Execution]()
        starts = container.starter.start_many(flow, objects, checked_names, **options)
        try:
            for index, description, is_new in descriptions_of(container, starts):
                found[index] = self._execution(description, is_new=is_new)
        except PollflowError as error:
            note_started(error, found, len(objects))
            raise
        return [found[index] for index in range(len(objects))]

    def execution(self, flow: str, name: str) -> Execution:
        """Return an execution. Raises ExecutionNotExists."""
        ref = ExecutionRef(arguments.name("flow", flow), arguments.name("name", name))
        try:
            return self._execution(describe(self._container, ref))
        except ExecutionNotExists:
            raise missing_execution(self._container, ref) from None

    def executions(
        self,
        *,
        flow: str | Sequence[str] | None = None,
        status: str | Sequence[str] | None = None,
        limit: int = 100,
        before: datetime | None = None,
    ) -> list[Execution]:
        """Return up to `limit` executions (1 to 10,000), the latest first, filtered by flow, status and start time.

        Of a list of flows or statuses any may apply: `status=["Running", "Failed"]`. `before` needs a time zone.
        A call takes three round trips, however many executions it returns; a fourth if the latest ones are spread
        unevenly over the shards.
        """
        filters: dict[str, Any] = {
            "flow": flow_filter(flow),
            "status": status_filter(status),
            "limit": arguments.integer("limit", limit, minimum=1, maximum=_MAX_EXECUTIONS),
            "before": None if before is None else arguments.moment("before", before).timestamp(),
        }
        container = self._container
        refs = container.reading.refs(**filters)
        return [self._execution(description) for description in describe_all(container, refs)]

    def report_succeeded(self, token: str, output: JsonObject | None = None, *, by: str | None = None) -> None:
        """Report success of a task that waits for a callback.

        Raises InvalidTaskToken, TaskAlreadyCompleted, EntityTooLarge.
        """
        token = arguments.text("token", token, is_secret=True)
        checked = checked_object("output", {} if output is None else output, self._container.settings.max_payload_bytes)
        self._container.engine.report(token, ReportedSucceeded(checked, actor(by, self._by)))

    def report_failed(self, token: str, error: str, cause: str = "", *, by: str | None = None) -> None:
        """Report failure of a task that waits for a callback; `retry` and `catch` of its step apply."""
        token = arguments.text("token", token, is_secret=True)
        event = ReportedFailed(*checked_error(error, cause, required=True), actor(by, self._by))
        self._container.engine.report(token, event)

    def functions(self, *, within: float | None = None) -> list[str]:
        """Return the names of the functions that workers have registered, optionally in the last `within` seconds."""
        seconds = None if within is None else arguments.number("within", within, unit="seconds")
        since = 0.0 if seconds is None else self._container.reading.now() - seconds
        return self._container.directory.functions(since)

    def audit(self, *, limit: int = 100, flow: str | Sequence[str] | None = None) -> list[AuditEntry]:
        """Return up to `limit` entries of the audit log (1 to 10,000), the latest first, of all flows or some.

        They are deploys, stops, purges and rotations of keys, also those of executions and flows that no longer exist.
        Redis keeps about the newest ten thousand. What pollflow does by itself, such as a purge at the end of the
        retention, is not among them.
        """
        limit, flows = arguments.integer("limit", limit, minimum=1, maximum=_MAX_EXECUTIONS), flow_filter(flow)
        records = self._container.audit.newest_first()
        return [_entry_of(record) for record in islice((r for r in records if not flows or r.flow in flows), limit)]

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _execution(self, description: Description, *, is_new: bool = False) -> Execution:
        return Execution(description, is_new, _container=lambda: self._container, _by=self._by)

    def _deploy(self, flow: Flow, name: str, description: str, path: str, by: str) -> DeployedFlow:
        container = self._container
        now = container.reading.now()
        record = container.definitions.deploy(name, flow.digest, flow.text, now, description, by=by)
        warnings = lint(
            flow,
            known_functions=self.functions() or None,
            flow_name=name,
            event_limit=container.settings.max_events,
            path=path,
        )
        return replace(self._deployed(record), warnings=warnings)

    def _deployed(self, record: FlowRecord) -> DeployedFlow:
        return DeployedFlow(
            name=record.name,
            digest=record.digest,
            created_at=timestamp(record.created_at),
            modified_at=timestamp(record.modified_at),
            description=record.description,
            definition=self._container.definitions.text(record.digest),
        )


def _entry_of(record: AuditRecord) -> AuditEntry:
    return AuditEntry(
        operation=record.operation,
        time=timestamp(record.at),
        by=record.by,
        flow=record.flow,
        name=record.name,
        id=record.id,
        error=record.error,
        digest=record.digest,
        key_id=record.key_id,
    )


def _deployable(argument: str, name: str, description: str) -> str:
    """Return the name if a flow can be deployed under it with this description. Raises InvalidArgument."""
    arguments.unicode_text("description", description)
    return arguments.name(argument, name)
