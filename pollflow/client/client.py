"""`Client`: deploy flows, start and read executions, report callbacks."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pollflow.client.description import Description, describe, describe_all, timestamp
from pollflow.client.execution import Execution, check_error
from pollflow.client.names import name_of_file
from pollflow.client.registered import RegisteredContainer
from pollflow.errors import InvalidArgument
from pollflow.fdl import NO_FILE, Problem, lint, load_flow, read_flow
from pollflow.fdl.model import Flow, JsonObject
from pollflow.machine import ReportedFailed, ReportedSucceeded, Status
from pollflow.runtime.container import Container
from pollflow.runtime.objects import checked_object
from pollflow.runtime.settings import Settings
from pollflow.runtime.starting import checked_name
from pollflow.store import ExecutionRef, FlowRecord, Keys, connect


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


class Client:
    """Deploys flows, starts executions and reads them.

    `redis_url` is the Redis that keeps the state; the default is `POLLFLOW_REDIS_URL`. The client reads from it the
    queues and settings that workers have registered, and reads them again every few seconds. All methods may raise
    StoreUnavailable. The client is a context manager that closes its connections.
    """

    def __init__(self, redis_url: str | None = None, *, key_prefix: str = "pollflow") -> None:
        url = redis_url or os.environ.get("POLLFLOW_REDIS_URL")
        if not url:
            raise InvalidArgument("no Redis URL: pass one to Client, or set POLLFLOW_REDIS_URL")
        self._redis = connect(url)
        self._registered = RegisteredContainer(self._redis, Keys(key_prefix))

    @property
    def _container(self) -> Container:
        return self._registered.current()

    @property
    def settings(self) -> Settings:
        """The settings that workers have registered; the defaults before the first worker starts."""
        return self._container.settings

    def deploy(
        self, definition: str | os.PathLike[str], name: str | None = None, *, description: str = ""
    ) -> DeployedFlow:
        """Deploy a flow from a file. Running executions keep the definition that they started with.

        The default of `name` is the file name with `-` for `_`. Raises DefinitionError with all problems.
        """
        path = Path(definition)
        flow = load_flow(path, max_wait_seconds=self.settings.max_wait)
        return self._deploy(flow, name or name_of_file(path), description, str(path))

    def deploy_text(self, text: str, name: str, *, description: str = "", path: str = NO_FILE) -> DeployedFlow:
        """Deploy a flow from the text of its definition. Problems show `path` as its file."""
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
        """Start an execution, or return the running one of that name; `is_new` tells which.

        `durable`: return only after the append-only file has acknowledged the start. Raises FlowNotExists,
        ExecutionAlreadyExists if an execution of that name has ended, InvalidArgument, EntityTooLarge, NotDurable.
        After NotDurable and StoreUnavailable the execution may or may not exist; starting it again under the same
        name is safe.
        """
        execution_input: Any = {} if input is None else input
        key, is_new = self._container.starter.start(flow, execution_input, name, durable=durable)
        return self._execution(describe(self._container, key.ref), is_new=is_new)

    def execution(self, flow: str, name: str) -> Execution:
        """Return an execution. Raises ExecutionNotExists."""
        return self._execution(describe(self._container, ExecutionRef(flow, name)))

    def executions(
        self,
        *,
        flow: str | None = None,
        status: str | None = None,
        limit: int = 100,
        before: datetime | None = None,
    ) -> list[Execution]:
        """Return up to `limit` executions, the latest first, filtered by flow, status and start time.

        A call takes three round trips, however many executions it returns.
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
        """Report success of a task that waits for a callback.

        Raises InvalidTaskToken, TaskAlreadyCompleted, EntityTooLarge.
        """
        checked = checked_object("output", {} if output is None else output, self._container.settings.max_payload_bytes)
        self._container.engine.report(token, ReportedSucceeded(checked))

    def report_failed(self, token: str, error: str, cause: str = "") -> None:
        """Report failure of a task that waits for a callback; `retry` and `catch` of its step apply."""
        check_error(error, cause, required=True)
        self._container.engine.report(token, ReportedFailed(error, cause))

    def functions(self, *, within: float | None = None) -> list[str]:
        """Return the names of the functions that workers have registered, optionally in the last `within` seconds."""
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


def _status(status: str | None) -> Status | None:
    if status is None:
        return None
    for known in Status:
        if known.value.lower() == status.lower():
            return known
    raise InvalidArgument(f"unknown status {status!r}; known: {', '.join(known.value for known in Status)}")
