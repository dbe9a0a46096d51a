"""The client: deploys flows, starts and reads executions, reports callbacks."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pollflow.client.description import Description, describe, describe_all, timestamp
from pollflow.client.execution import Execution, check_error
from pollflow.client.names import name_of_file
from pollflow.errors import InvalidArgument
from pollflow.fdl import NO_FILE, Problem, lint, load_flow, read_flow
from pollflow.fdl.model import Flow, JsonObject
from pollflow.machine import ReportedFailed, ReportedSucceeded, Status
from pollflow.runtime.container import Container, build_container
from pollflow.runtime.functions import Functions
from pollflow.runtime.objects import checked_object
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings
from pollflow.runtime.starting import checked_name
from pollflow.store import Directory, ExecutionRef, FlowRecord, Keys, Message, connect

_NO_TIMEOUT_SECONDS = 0.001


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
    """What runs but is probably wrong; set when the flow is deployed."""


class Client:
    """Deploys flows, starts executions and reads them.

    `redis_url` is where the state is; `POLLFLOW_REDIS_URL` unless given. Where messages go is read from Redis, as
    the workers wrote it down. All methods may raise StoreUnavailable. As a context it closes its connections.
    """

    def __init__(self, redis_url: str | None = None, *, key_prefix: str = "pollflow") -> None:
        url = redis_url or os.environ.get("POLLFLOW_REDIS_URL")
        if not url:
            raise InvalidArgument("no Redis URL: pass one to Client, or set POLLFLOW_REDIS_URL")
        self._redis = connect(url)
        self._keys = Keys(key_prefix)
        self._made: Container | None = None

    @property
    def _container(self) -> Container:
        if self._made is None:
            routes, written = Routes.load(Directory(self._redis, self._keys))
            settings = Settings.load(written, key_prefix=self._keys.prefix)
            if not routes.in_script:
                # Without the app there is no broker connection: the next sweep publishes at once.
                settings = replace(settings, redelivery_timeout=_NO_TIMEOUT_SECONDS)
            self._made = build_container(
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

    @property
    def settings(self) -> Settings:
        """The settings, as workers wrote them down; the defaults as long as none has been there."""
        return self._container.settings

    def deploy(
        self, definition: str | os.PathLike[str], name: str | None = None, *, description: str = ""
    ) -> DeployedFlow:
        """Deploy a flow from a file. Running executions keep the definition that they started with.

        `name` is the file's, `_` read as `-`, unless given. Raises DefinitionError with everything that is wrong.
        """
        path = Path(definition)
        flow = load_flow(path, max_wait_seconds=self.settings.max_wait)
        return self._deploy(flow, name or name_of_file(path), description, str(path))

    def deploy_text(self, text: str, name: str, *, description: str = "", path: str = NO_FILE) -> DeployedFlow:
        """Deploy a flow from the text of its definition; `path` names it in problems."""
        flow = read_flow(text, path=path, max_wait_seconds=self.settings.max_wait)
        return self._deploy(flow, name, description, path)

    def flow(self, name: str) -> DeployedFlow:
        """Return a deployed flow. Raises FlowNotExists."""
        return self._deployed(self._container.definitions.flow(name))

    def flows(self) -> list[DeployedFlow]:
        """Return all deployed flows, by name."""
        definitions = self._container.definitions
        return [self._deployed(definitions.flow(name)) for name in definitions.names()]

    def start(
        self, flow: str, input: JsonObject | None = None, *, name: str | None = None, durable: bool = False
    ) -> Execution:
        """Start an execution, or return the running one of that name, whose `is_new` is false.

        `durable`: return only when the append-only file has it. Raises FlowNotExists, ExecutionAlreadyExists if
        an execution of that name has ended, InvalidArgument, EntityTooLarge, NotDurable. After NotDurable and
        StoreUnavailable the execution may exist or not; it is safe to start again under the same name.
        """
        execution_input: Any = {} if input is None else input
        key, is_new = self._container.starter.start(flow, execution_input, name, durable=durable)
        return self._execution(describe(self._container, key.ref), is_new=is_new)

    def execution(self, flow: str, name: str) -> Execution:
        """Return an execution that exists. Raises ExecutionNotExists."""
        return self._execution(describe(self._container, ExecutionRef(flow, name)))

    def executions(
        self,
        *,
        flow: str | None = None,
        status: str | None = None,
        limit: int = 100,
        before: datetime | None = None,
    ) -> list[Execution]:
        """Return executions, the latest first: of one flow or all, in one status or any, started before a time.

        A page takes three round trips, whatever its length.
        """
        container = self._container
        refs = container.reading.refs(
            flow=flow,
            status=_status(status),
            limit=limit,
            before=None if before is None else before.timestamp(),
        )
        return [self._execution(description) for description in describe_all(container, refs)]

    def report_succeeded(self, token: str, output: JsonObject | None = None) -> None:
        """Report success of a task that waits. Raises InvalidTaskToken, TaskAlreadyCompleted, EntityTooLarge."""
        checked = checked_object("output", {} if output is None else output, self._container.settings.max_payload_bytes)
        self._container.engine.report(token, ReportedSucceeded(checked))

    def report_failed(self, token: str, error: str, cause: str = "") -> None:
        """Report failure of a task that waits for a callback; `retry` and `catch` of its step apply."""
        check_error(error, cause, required=True)
        self._container.engine.report(token, ReportedFailed(error, cause))

    def functions(self, *, within: float | None = None) -> list[str]:
        """Return the names of the functions that workers have registered, ever or in the last `within` seconds."""
        since = 0.0 if within is None else self._container.reading.now() - within
        return self._container.directory.functions(since)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _execution(self, description: Description, *, is_new: bool = False) -> Execution:
        return Execution(description, is_new, _container=lambda: self._container)

    def _deploy(self, flow: Flow, name: str, description: str, path: str) -> DeployedFlow:
        checked_name("a flow", name)
        container = self._container
        record = container.definitions.deploy(name, flow.digest, flow.text, container.reading.now(), description)
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


def _leave_to_sweep(message: Message) -> None:
    """The workers' sweep publishes what the script could not."""


def _status(status: str | None) -> Status | None:
    if status is None:
        return None
    for known in Status:
        if known.value.lower() == status.lower():
            return known
    raise InvalidArgument(f"{status!r} is no status; there are {', '.join(known.value for known in Status)}")
