"""`Starter`: starts executions, for clients and for sub-flows."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from pollflow.errors import EntityTooLarge, ExecutionAlreadyExists, StoreUnavailable
from pollflow.fdl.model import Flow, JsonObject
from pollflow.machine import ExecutionInfo, Limits, begin, begin_reads_time
from pollflow.runtime import arguments
from pollflow.runtime.definitions import FlowCache, KnownFlows
from pollflow.runtime.objects import checked_object, sized_object
from pollflow.runtime.routes import Publish
from pollflow.store import Definitions, ExecutionRef, NewExecution, ParentLink, Reading, Started, Store

STARTED_AT_ONCE = 500
"""Executions that one round trip starts."""
_BYTES_AT_ONCE = 4 << 20
"""The size of their inputs, of which a start sends several encoded copies."""


def new_identity() -> tuple[str, str]:
    """Return the id of a new execution, and the secret that signs its task tokens."""
    return secrets.token_hex(16), secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class _Current:
    """What a start has to know: the current definition of the flow, and the time by Redis' clock."""

    flow_name: str
    digest: str
    flow: Flow
    now: float = 0


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
    known: KnownFlows | None = None
    """Set where the Redis user may have its scripts read flows: in clients, and not in workers."""

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
    ) -> Started:
        """Start an execution, or find the running one of that name.

        `by` is the user or program that starts it, `parent` the task token of the step that starts it. A repeated start
        by that step returns its execution even if that has ended. Raises FlowNotExists; ExecutionAlreadyExists if an
        ended execution has the name; InvalidArgument and EntityTooLarge before anything is stored; NotDurable;
        TaskAlreadyCompleted if the step has cancelled it.
        """
        ref = ref_of(flow_name, _random_name() if name is None else name)
        input = checked_object("input", input, self.limits.payload_bytes)
        started = self._start_known(ref, input, by, durable=durable) if parent_link is None and not parent else None
        if started is None:
            new = self._new(self._current(flow_name), ref.name, input, by)
            started = self.store.start(replace(new, parent=parent, parent_link=parent_link), durable=durable)
        self._publish(started)
        self._check_existing(started, parent)
        return started

    def start_many(
        self,
        flow_name: str,
        inputs: Sequence[JsonObject],
        names: Sequence[str] | None,
        *,
        durable: bool = False,
        by: str = "",
    ) -> Iterator[tuple[int, Started]]:
        """Start an execution for each input, or find the one of its name, even if it has ended. Yield them by index.

        The names must be valid and unique. Raises FlowNotExists, InvalidArgument and EntityTooLarge before anything is
        stored. Raises StoreUnavailable and NotDurable after it has yielded all that are known to be started.
        """
        limit = self.limits.payload_bytes
        checked = [sized_object(f"inputs[{index}]", input, limit) for index, input in enumerate(inputs)]
        current = self._current(flow_name)
        # All first decisions are made before the first start, since one of them may be refused.
        new = [
            self._new_at(index, current, names[index] if names else _random_name(), input, by)
            for index, (input, _) in enumerate(checked)
        ]
        for part in _slices([size for _, size in checked]):
            results = self.store.start_many(new[part.start : part.stop], durable=durable)
            for index, result in zip(part, results, strict=True):
                if isinstance(result, Started):
                    self._publish(result)
                    yield index, result
            for result in results:
                if isinstance(result, StoreUnavailable):
                    raise result

    def _start_known(self, ref: ExecutionRef, input: JsonObject, by: str, *, durable: bool) -> Started | None:
        """Start by the definition that the last start found; None if that is unknown, or no longer the current one."""
        digest = None if self.known is None else self.known.get(ref.flow)
        if digest is None or begin_reads_time(flow := self.flows.get(digest)):
            return None
        try:
            new = self._new(_Current(ref.flow, digest, flow), ref.name, input, by)
        except EntityTooLarge:
            return None  # the current definition may accept the input
        return self.store.start_if_current(new, durable=durable)

    def _current(self, flow_name: str) -> _Current:
        record, now = self.definitions.flow_and_time(flow_name, self.reading.clock)
        if self.known is not None:
            self.known.add(flow_name, record.digest)
        return _Current(flow_name, record.digest, self.flows.get(record.digest), now)

    def _new(self, current: _Current, name: str, input: JsonObject, by: str) -> NewExecution:
        execution_id, secret = self.new_identity()
        info = ExecutionInfo(current.flow_name, name, execution_id, current.now, secret)
        return NewExecution(
            info=info,
            decision=begin(current.flow, input, info, self.limits, by),
            digest=current.digest,
            input=input,
            time_limit=min(current.flow.timeout_seconds or inf, self.limits.max_execution_seconds),
        )

    def _new_at(self, index: int, current: _Current, name: str, input: JsonObject, by: str) -> NewExecution:
        try:
            return self._new(current, name, input, by)
        except EntityTooLarge as error:
            raise EntityTooLarge(f"inputs[{index}]: {error}") from error

    def _publish(self, started: Started) -> None:
        for message in started.messages:
            self.publish(message)

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


def _slices(sizes: Sequence[int]) -> Iterator[range]:
    """Yield the indexes of the starts that one round trip makes, by the sizes of the inputs."""
    first = size = 0
    for index, added in enumerate(sizes):
        if index > first and (index - first == STARTED_AT_ONCE or size + added > _BYTES_AT_ONCE):
            yield range(first, index)
            first, size = index, 0
        size += added
    if sizes:
        yield range(first, len(sizes))


def ref_of(flow_name: str, name: str) -> ExecutionRef:
    """Return the ref of these names. Raises InvalidArgument for invalid names."""
    return ExecutionRef(
        arguments.name("the name of a flow", flow_name), arguments.name("the name of an execution", name)
    )


def _random_name() -> str:
    return f"run-{secrets.token_hex(8)}"
