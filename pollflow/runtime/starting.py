"""`Starter`: starts executions, for clients and for sub-flows."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from pollflow.errors import ExecutionAlreadyExists
from pollflow.fdl.model import JsonObject
from pollflow.machine import ExecutionInfo, Limits, begin
from pollflow.runtime import arguments
from pollflow.runtime.definitions import FlowCache
from pollflow.runtime.objects import checked_object
from pollflow.runtime.routes import Publish
from pollflow.store import Definitions, ExecutionKey, ExecutionRef, ParentLink, Reading, Started, Store


def new_identity() -> tuple[str, str]:
    """Return the id of a new execution, and the secret that signs its task tokens."""
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
        by: str = "",
    ) -> tuple[ExecutionKey, bool]:
        """Start an execution, or return the running one of that name. The flag is true for a new one.

        `by` is the user or program that starts it, `parent` the task token of the step that starts it. A repeated start
        by that step returns its execution even if that has ended. Raises FlowNotExists; ExecutionAlreadyExists if an
        ended execution has the name; InvalidArgument and EntityTooLarge before anything is stored; NotDurable;
        TaskAlreadyCompleted if the step has cancelled it.
        """
        ref = ref_of(flow_name, _random_name() if name is None else name)
        input = checked_object("input", input, self.limits.payload_bytes)
        record = self.definitions.flow(flow_name)
        flow = self.flows.get(record.digest)
        execution_id, secret = self.new_identity()
        info = ExecutionInfo(ref.flow, ref.name, execution_id, self.reading.now(), secret)
        started = self.store.start(
            info,
            begin(flow, input, info, self.limits, by),
            digest=record.digest,
            execution_input=input,
            time_limit=min(flow.timeout_seconds or inf, self.limits.max_execution_seconds),
            parent=parent,
            parent_link=parent_link,
            durable=durable,
        )
        for message in started.messages:
            self.publish(message)
        self._check_existing(started, parent)
        return started.key, started.existing is None

    def _check_existing(self, started: Started, parent: str) -> None:
        if started.existing is None or not started.existing.ended:
            return
        ref = started.key.ref
        if parent and self._is_parent(ref, parent):
            return  # the same step has started it or waits for it, and is notified if it waits
        raise ExecutionAlreadyExists(
            f'execution "{ref}" exists already and has ended ({started.existing.value}); use another name or purge it'
        )

    def _is_parent(self, ref: ExecutionRef, token: str) -> bool:
        if self.reading.execution(ref).parent == token:
            return True
        return any(link.token == token for link in self.reading.parent_links(ref))


def ref_of(flow_name: str, name: str) -> ExecutionRef:
    """Return the ref of these names. Raises InvalidArgument for invalid names."""
    return ExecutionRef(
        arguments.name("the name of a flow", flow_name), arguments.name("the name of an execution", name)
    )


def _random_name() -> str:
    return f"run-{uuid.uuid4().hex[:16]}"
