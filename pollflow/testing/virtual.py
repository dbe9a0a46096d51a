"""A run in virtual time: the engine and the scripts of production, on a clock that the run sets.

The run replaces the workers, the broker and the timer of the sweep. A message is delivered when it is due. A call that
takes time is claimed when it begins and committed when it ends. Between events the clock jumps to the next one, which
the event queue or the wake-up index names.
"""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

from pollflow.errors import ExecutionAlreadyCompleted, PollflowError
from pollflow.fdl.model import Flow, FlowResource, JsonObject, ServiceResource
from pollflow.machine import CallRequest, Event, Limits, Status, call_of
from pollflow.runtime import arguments
from pollflow.runtime.container import Container, build_container
from pollflow.runtime.functions import Functions
from pollflow.runtime.handled import Handled
from pollflow.runtime.objects import checked_object
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings
from pollflow.store import Claimed, Clock, Connection, Early, ExecutionRef, Message, MessageKey, new_token
from pollflow.store.scratch import delete_keys
from pollflow.testing.event_queue import EPOCH, EventQueue, Rank
from pollflow.testing.redis_server import REDIS_SERVER
from pollflow.testing.replies import Source, Stopwatch, WorkerDied, is_interruption, registry
from pollflow.testing.reporting import report_event, waiting_token
from pollflow.testing.result import CallMade, RunResult, read_result
from pollflow.testing.stimuli import STIMULI, Stimulus, Stop

_WORKER = "virtual"
_FOREVER_SECONDS = 1e10
"""Longer than any run, so that no lease expires and no execution is purged during the run."""
_ANY_NUMBER = 1 << 40


class VirtualRun:
    """One run of a flow, under keys of its own that are deleted afterwards.

    It uses the server that all runs share, or that of `client`.
    """

    def __init__(
        self,
        flow: Flow,
        input: JsonObject | None = None,
        *,
        functions: Functions | Mapping[str, Source] | None = None,
        flows: Mapping[str, Flow] | None = None,
        stimuli: Sequence[Stimulus] = (),
        limits: Limits | None = None,
        flow_name: str | None = None,
        execution_name: str = "test",
        client: Connection | None = None,
    ) -> None:
        _check(functions, flows, stimuli, limits)
        self._event_queue = EventQueue()
        self._clock = Clock(frozen_at=EPOCH)
        self._stopwatch = Stopwatch()
        self._functions = registry(functions or {}, self._stopwatch)
        self._client = REDIS_SERVER.client() if client is None else client
        self._prefix = f"pollflow-test-{secrets.token_hex(8)}"
        limits = limits or Limits()
        self._container = self._build_container(limits)
        flow = arguments.instance("flow", flow, Flow, "a Flow, as read_flow returns it")
        flow_name = (flow.name or "flow") if flow_name is None else flow_name
        self._ref = ExecutionRef(
            arguments.name("flow_name", flow_name), arguments.name("execution_name", execution_name)
        )
        self._flows = {**(flows or {}), self._ref.flow: flow}
        # A copy, so that nothing that the caller keeps changes with the run, or the run with it.
        self._input = checked_object("input", {} if input is None else input, limits.payload_bytes)
        # Each execution publishes a message as it starts, since no countdown is too long to be published.
        self._started: dict[ExecutionRef, None] = {}
        self._shards: set[int] = set()
        self._calls: list[CallMade] = []
        self._refused: list[str] = []
        for stimulus in stimuli:
            self._event_queue.put(stimulus.seconds, self._applier_of(stimulus), Rank.STIMULUS)

    def run(self, until: float | None = None) -> RunResult:
        """Run to the end, or up to the moment `until` (seconds since the start, included)."""
        if until is not None:
            arguments.number("until", until, unit="seconds")
        with _quiet_engine():
            try:
                self._start()
                self._run(until)
                return self._result(until)
            finally:
                delete_keys(self._client, f"{self._prefix}:*")

    def _build_container(self, limits: Limits) -> Container:
        settings = Settings(
            key_prefix=self._prefix,
            retention=_FOREVER_SECONDS,
            lease=_FOREVER_SECONDS,
            max_countdown=_FOREVER_SECONDS,
            max_countdown_messages=_ANY_NUMBER,
            max_execution_time=_FOREVER_SECONDS,
            max_payload_bytes=limits.payload_bytes,
            max_events=limits.events,
            max_wait=limits.max_wait_seconds,
            max_concurrency=limits.max_concurrency,
        )
        numbers = itertools.count(1)
        return build_container(
            self._client,
            settings,
            # The store calls `publish` for each message, as with a broker that is another server.
            routes=Routes(in_script=False),
            publish=self._publish,
            functions=self._functions,
            worker=lambda: _WORKER,
            is_interruption=is_interruption,
            clock=self._clock,
            # The ids are the same in each run, so that a run can be repeated exactly.
            new_identity=lambda: (f"virtual-{(number := next(numbers))}", f"secret-{number}"),
        )

    def _start(self) -> None:
        for name, flow in self._flows.items():
            self._container.definitions.deploy(name, flow.digest, flow.text, EPOCH)
            self._container.engine.flows.add(flow)
        self._container.starter.start(self._ref.flow, self._input, self._ref.name)

    def _run(self, until: float | None) -> None:
        while True:
            self._event_queue.run_due()
            wake_ups = self._container.store.next_wake_ups(self._shards)
            due = [shard for shard, moment in wake_ups.items() if moment <= self._event_queue.moment]
            if due:
                # Deadlines are in the wake-up index. They come last among the entries that are due at one moment.
                self._container.sweeper.sweep_shards(due)
                continue
            moment = self._next_moment(wake_ups.values())
            if moment is None or (until is not None and moment > until):
                return
            self._event_queue.now = moment
            self._clock.frozen_at = self._event_queue.moment

    def _next_moment(self, wake_ups: Iterable[float]) -> float | None:
        """Return when the next event is due, in seconds since the start; None if there is none."""
        moments = [round(wake_up - EPOCH, 6) for wake_up in wake_ups if wake_up - EPOCH < _FOREVER_SECONDS]
        if self._event_queue.next is not None:
            moments.append(self._event_queue.next)
        return min(moments, default=None)

    def _publish(self, message: Message) -> None:
        ref = message.key.ref
        self._started.setdefault(ref)
        self._shards.add(ref.shard)
        due = self._event_queue.now + message.countdown if message.at is None else message.at - EPOCH
        self._event_queue.put(due, lambda: self._deliver(message.key))

    def _deliver(self, key: MessageKey) -> None:
        reply = self._container.store.claim(key, f"{_WORKER}.{new_token()}")
        if isinstance(reply, Early):
            self._event_queue.put(self._event_queue.now + reply.seconds, lambda: self._deliver(key))
        elif isinstance(reply, Claimed):
            self._proceed(reply)

    def _proceed(self, claimed: Claimed | Handled) -> None:
        while isinstance(claimed, Claimed):
            if claimed.kind == "call":
                self._call(claimed)
                return
            claimed = self._container.engine.advance(claimed)

    def _call(self, claimed: Claimed) -> None:
        event = self._call_event(claimed)
        if self._stopwatch.seconds <= 0:
            self._end_call(claimed, event)
        else:
            ends_at = self._event_queue.now + self._stopwatch.seconds
            self._event_queue.put(ends_at, lambda: self._end_call(claimed, event))

    def _end_call(self, claimed: Claimed, event: Event | None) -> None:
        if event is not None:
            self._proceed(self._container.engine.advance(claimed, event))
        else:
            # In production the lease of a dead worker has to expire first.
            self._container.engine.release(claimed)

    def _call_event(self, claimed: Claimed) -> Event | None:
        """Make the call and return its event; None if the worker dies during the call."""
        engine = self._container.engine
        request = call_of(engine.flows.get(claimed.digest), claimed.state, claimed.info)
        if request is None:
            raise TypeError(claimed.kind)
        self._stopwatch.seconds = 0.0
        try:
            return engine.caller.call(claimed, self._recorded(claimed, request))
        except WorkerDied:
            return None

    def _recorded(self, claimed: Claimed, request: CallRequest) -> CallRequest:
        """Record the call if it is made; return it with a scripted sub-flow as a function."""
        resource = request.resource
        is_scripted = self._functions.find(resource) is not None
        is_flow = isinstance(resource, FlowResource)
        is_made = claimed.crashes < self._container.engine.caller.max_crashes
        if is_made and (is_scripted or is_flow):
            flow_name = claimed.info.flow_name
            payload = deepcopy(request.payload)
            self._calls.append(CallMade(self._event_queue.now, flow_name, request.step, resource, payload))
        if is_scripted and is_flow:
            return replace(request, resource=ServiceResource(resource.arn, takes_params=False))
        return request

    def _applier_of(self, stimulus: Stimulus) -> Callable[[], None]:
        def apply() -> None:
            try:
                self._apply(stimulus)
            except PollflowError as error:
                self._refused.append(f"{stimulus.seconds:g} s: {error}")

        return apply

    def _apply(self, stimulus: Stimulus) -> None:
        engine = self._container.engine
        if not isinstance(stimulus, Stop):
            engine.report(waiting_token(self._container, stimulus.step), report_event(stimulus))
        elif self._stop(stimulus) is not None:
            raise ExecutionAlreadyCompleted("the execution has ended, so it cannot be stopped")

    def _stop(self, stop: Stop) -> Status | None:
        key = self._container.reading.execution(self._ref).key
        return self._container.engine.end(key, Status.STOPPED, stop.error, stop.cause)

    def _result(self, until: float | None) -> RunResult:
        reading, read_at = self._container.reading, EPOCH + (until or 0)
        results = {ref: read_result(reading, reading.execution(ref), read_at) for ref in self._started}
        root = results.pop(self._ref)
        return replace(
            root,
            calls=tuple(self._calls),
            refused=tuple(self._refused),
            sub_executions=tuple(results.values()),
        )


def _check(functions: object, flows: object, stimuli: object, limits: object) -> None:
    """Raise InvalidArgument for arguments of the wrong types."""
    if functions is not None:
        arguments.instance("functions", functions, (Functions, Mapping), "a Functions, or a dict of replies by name")
    if flows is not None:
        found = arguments.instance("flows", flows, Mapping, "a dict of flows by name")
        for name, flow in found.items():
            arguments.name("the name of a flow in flows", name)
            arguments.instance(f"flows[{name!r}]", flow, Flow, "a Flow, as read_flow returns it")
    if limits is not None:
        arguments.instance("limits", limits, Limits, "a Limits")
    arguments.items("stimuli", stimuli, STIMULI, "a list of Stop, ReportSucceeded and ReportFailed")


@contextmanager
def _quiet_engine() -> Iterator[None]:
    """Drop the engine's own log lines, which describe workers. Those of functions have a logger of their own."""
    logger = logging.getLogger("pollflow")
    logger.addFilter(_drop)
    try:
        yield
    finally:
        logger.removeFilter(_drop)


def _drop(record: logging.LogRecord) -> bool:
    return False
