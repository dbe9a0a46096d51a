"""Starting executions: the one way in, for clients and for sub-flows."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from pollflow.errors import ExecutionAlreadyExists, InvalidArgument
from pollflow.fdl.model import JsonObject
from pollflow.machine import ExecutionInfo, Limits, begin
from pollflow.runtime.definitions import FlowCache
from pollflow.runtime.objects import checked_object
from pollflow.runtime.routes import Publish
from pollflow.store import Definitions, ExecutionRef, ParentLink, Reading, Started, Store

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")


def new_identity() -> tuple[str, str]:
    """Return the id of a new execution, and the secret of its task tokens."""
    return uuid.uuid4().hex, secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts executions of deployed flows."""

    store: Store
    reading: Reading
    definitions: Definitions
    flows: FlowCache
    limits: Limits
    publish: Publish
    new_identity: Callable[[], tuple[str, str]] = new_identity

    def start(
        self,
        flow_name: str,
        input: JsonObject,
        name: str | None,
        *,
        parent: str = "",
        parent_link: ParentLink | None = None,
        durable: bool = False,
    ) -> tuple[ExecutionRef, bool]:
        """Starts an execution, or finds the one that runs under the name already; True if it started it.

        `parent` is the task token of the step that starts it: it finds the one that it has started even if that has
        ended.
        Raises FlowNotExists; ExecutionAlreadyExists if an ended one has the name; InvalidArgument and
        EntityTooLarge before anything is stored; NotDurable where it is to be durable and may not be;
        TaskAlreadyCompleted if the waiter has given it up.
        """
        ref = ref_of(flow_name, name or _random_name())
        input = checked_object("input", input, self.limits.payload_bytes)
        record = self.definitions.flow(flow_name)
        flow = self.flows.get(record.digest)
        execution_id, secret = self.new_identity()
        info = ExecutionInfo(ref.flow, ref.name, execution_id, self.reading.now(), secret)
        started = self.store.start(
            info,
            begin(flow, input, info, self.limits),
            digest=record.digest,
            execution_input=input,
            limit=flow.timeout_seconds,
            parent=parent,
            parent_link=parent_link,
            durable=durable,
        )
        for message in started.messages:
            self.publish(message)
        self._check_existing(ref, started, parent)
        return ref, started.existing is None

    def _check_existing(self, ref: ExecutionRef, started: Started, parent: str) -> None:
        if started.existing is None or not started.existing.ended:
            return
        if parent and parent in self.reading.execution(ref).steps:
            return  # it was started or taken by this very step, which is told if it waits
        raise ExecutionAlreadyExists(
            f"flow {ref.flow!r} has an execution {ref.name!r} already, which has ended ({started.existing.value})"
        )


def ref_of(flow_name: str, name: str) -> ExecutionRef:
    """The ref of these names. Raises InvalidArgument for what is no name."""
    return ExecutionRef(checked_name("a flow", flow_name), checked_name("an execution", name))


def checked_name(kind: str, name: str) -> str:
    """The name, if it is one. Raises InvalidArgument."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r} is no name for {kind}: letters, digits, _ and -, first a letter or _, at most 128 characters"
        )
    return name


def _random_name() -> str:
    return f"run-{uuid.uuid4().hex[:16]}"
