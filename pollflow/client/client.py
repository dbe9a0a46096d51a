"""`Client`: deploy flows, start and read executions, report callbacks."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pollflow.client.description import Description, describe, describe_all, timestamp
from pollflow.client.execution import Execution, checked_error
from pollflow.client.names import name_of_file
from pollflow.errors import InvalidArgument
from pollflow.fdl import NO_FILE, Problem, lint, load_flow, read_flow
from pollflow.fdl.model import Flow, JsonObject
from pollflow.machine import ReportedFailed, ReportedSucceeded, Status
from pollflow.runtime import arguments
from pollflow.runtime.container import Container, build_container
from pollflow.runtime.functions import Functions
from pollflow.runtime.objects import checked_object
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings
from pollflow.store import Directory, ExecutionRef, FlowRecord, Keys, Message, connect

_MIN_TIMEOUT_SECONDS = 0.001
_MAX_EXECUTIONS = 10_000
_A_STATUS = f"one of {', '.join(status.value for status in Status)}"


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
    queues and settings that workers have registered. All methods may raise StoreUnavailable. The client is a context
    manager that closes its connections.
    """

    def __init__(self, redis_url: str | None = None, *, key_prefix: str = "pollflow") -> None:
        if redis_url is not None:
            arguments.instance("redis_url", redis_url, str, "a URL")
        arguments.unicode_text("key_prefix", key_prefix, minimum=1)
        url = redis_url or os.environ.get("POLLFLOW_REDIS_URL")
        if not url:
            raise InvalidArgument("no Redis URL: pass one to Client, or set POLLFLOW_REDIS_URL")
        self._redis = connect(url)
        self._keys = Keys(key_prefix)
        self._cached: Container | None = None

    @property
    def _container(self) -> Container:
        if self._cached is not None:
            return self._cached
        routes, stored_settings = Routes.load(Directory(self._redis, self._keys))
        settings = Settings.load(stored_settings, key_prefix=self._keys.prefix)
        if not routes.in_script:
            # A client has no broker connection. With this timeout the next sweep publishes the message.
            settings = replace(settings, redelivery_timeout=_MIN_TIMEOUT_SECONDS)
        container = build_container(
            self._redis,
            settings,
            routes=routes,
            publish=_leave_to_sweep,
            functions=Functions(),
            worker=lambda: "client",
        )
        if stored_settings is not None:  # before the first worker registers, each call reads the routes again
            self._cached = container
        return container

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
        path = Path(arguments.path("definition", definition))
        name = _deployable("name", name_of_file(path) if name is None else name, description)
        flow = load_flow(path, max_wait_seconds=self.settings.max_wait)
        return self._deploy(flow, name, description, str(path))

    def deploy_text(self, text: str, name: str, *, description: str = "", path: str = NO_FILE) -> DeployedFlow:
        """Deploy a flow from the text of its definition. Problems show `path` as its file."""
        arguments.instance("text", text, str, "the text of a definition")
        arguments.text("path", path)
        name = _deployable("name", name, description)
        flow = read_flow(text, path=path, max_wait_seconds=self.settings.max_wait)
        return self._deploy(flow, name, description, path)

    def flow(self, name: str) -> DeployedFlow:
        """Return a deployed flow. Raises FlowNotExists."""
        return self._deployed(self._container.definitions.flow(arguments.name("name", name)))

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
        flow = arguments.name("flow", flow)
        name = None if name is None else arguments.name("name", name)
        arguments.boolean("durable", durable)
        execution_input: Any = {} if input is None else input
        key, is_new = self._container.starter.start(flow, execution_input, name, durable=durable)
        return self._execution(describe(self._container, key.ref), is_new=is_new)

    def execution(self, flow: str, name: str) -> Execution:
        """Return an execution. Raises ExecutionNotExists."""
        ref = ExecutionRef(arguments.name("flow", flow), arguments.name("name", name))
        return self._execution(describe(self._container, ref))

    def executions(
        self,
        *,
        flow: str | None = None,
        status: str | None = None,
        limit: int = 100,
        before: datetime | None = None,
    ) -> list[Execution]:
        """Return up to `limit` executions (1 to 10,000), the latest first, filtered by flow, status and start time.

        `before` needs a time zone. A call takes three round trips, however many executions it returns.
        """
        filters: dict[str, Any] = {
            "flow": None if flow is None else arguments.name("flow", flow),
            "status": None if status is None else _status(status),
            "limit": arguments.integer("limit", limit, minimum=1, maximum=_MAX_EXECUTIONS),
            "before": None if before is None else arguments.moment("before", before).timestamp(),
        }
        container = self._container
        refs = container.reading.refs(**filters)
        return [self._execution(description) for description in describe_all(container, refs)]

    def report_succeeded(self, token: str, output: JsonObject | None = None) -> None:
        """Report success of a task that waits for a callback.

        Raises InvalidTaskToken, TaskAlreadyCompleted, EntityTooLarge.
        """
        token = arguments.text("token", token, is_secret=True)
        checked = checked_object("output", {} if output is None else output, self._container.settings.max_payload_bytes)
        self._container.engine.report(token, ReportedSucceeded(checked))

    def report_failed(self, token: str, error: str, cause: str = "") -> None:
        """Report failure of a task that waits for a callback; `retry` and `catch` of its step apply."""
        token = arguments.text("token", token, is_secret=True)
        event = ReportedFailed(*checked_error(error, cause, required=True))
        self._container.engine.report(token, event)

    def functions(self, *, within: float | None = None) -> list[str]:
        """Return the names of the functions that workers have registered, optionally in the last `within` seconds."""
        seconds = None if within is None else arguments.number("within", within, unit="seconds")
        since = 0.0 if seconds is None else self._container.reading.now() - seconds
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
    """Do nothing: the sweep of the workers publishes the message."""


def _deployable(argument: str, name: str, description: str) -> str:
    """Return the name if a flow can be deployed under it with this description. Raises InvalidArgument."""
    arguments.unicode_text("description", description)
    return arguments.name(argument, name)


def _status(status: str) -> Status:
    wanted = arguments.instance("status", status, str, _A_STATUS)
    for known in Status:
        if known.value.lower() == wanted.lower():
            return known
    raise InvalidArgument(
        f"unknown status {arguments.shown(status)}; known: {', '.join(known.value for known in Status)}"
    )
