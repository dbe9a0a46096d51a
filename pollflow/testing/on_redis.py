"""A run on a real Redis: the store, its scripts and the engine as in production, the clock frozen and moved by hand.

What stands in for workers takes messages from the queue one after another; a call that takes time is claimed when it
begins and committed when it ends, and what happens in between happens in between. Nobody waits: the clock jumps to the
next moment at which something is due, by the agenda or by the wake-up index.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pollflow.errors import ExecutionAlreadyCompleted, PollflowError
from pollflow.fdl.model import STEP_TYPES, Flow, FlowResource, JsonObject, Pattern, ServiceResource, TaskStep
from pollflow.machine import CallRequest, Event, Limits, Phase, ReportedFailed, ReportedSucceeded, Status, call_of
from pollflow.machine.callback import task_token
from pollflow.machine.data import step_at
from pollflow.runtime import messages
from pollflow.runtime.container import Container, build_container
from pollflow.runtime.functions import Functions
from pollflow.runtime.routes import Routes
from pollflow.runtime.settings import Settings
from pollflow.store import Claimed, Clock, Early, ExecutionRef, Message, MessageKey, connect, new_token, translated
from pollflow.testing.cases import Case
from pollflow.testing.event_queue import EPOCH, EventQueue, Rank
from pollflow.testing.replies import Source, Stopwatch, WorkerDied, registry
from pollflow.testing.result import CallMade, RunResult
from pollflow.testing.stimuli import ReportFailed, ReportSucceeded, Stimulus, Stop

WORKER = "driver"
_FOR_EVER = 1000 * 86_400.0
"""Longer than any run, so that an execution is not purged while it is looked at."""


@dataclass(frozen=True, slots=True)
class _Running:
    """A call that has begun and not ended."""

    key: MessageKey
    claimed: Claimed


class RedisRun:
    """Runs a flow once, under keys of its own that are deleted afterwards."""

    def __init__(
        self,
        url: str,
        flow: Flow,
        input: JsonObject | None = None,
        *,
        functions: Functions | Mapping[str, Source] | None = None,
        flows: Mapping[str, Flow] | None = None,
        stimuli: Sequence[Stimulus] = (),
        limits: Limits | None = None,
        flow_name: str | None = None,
        execution_name: str = "test",
    ) -> None:
        self._event_queue = EventQueue()
        self._clock = Clock(frozen_at=EPOCH)
        self._stopwatch = Stopwatch()
        self._functions = registry(functions or {}, self._stopwatch)
        self._prefix = f"pollflow-test-{secrets.token_hex(8)}"
        self._queue = f"{self._prefix}:queue"
        self._container = self._build_container(url, limits or Limits())
        self._running: list[_Running] = []
        self._calls: list[CallMade] = []
        self._refused: list[str] = []
        self._flow, self._flows = flow, dict(flows or {})
        self._ref = ExecutionRef(flow_name or flow.name or "flow", execution_name)
        self._input = input or {}
        for stimulus in stimuli:
            self._event_queue.put(stimulus.seconds, lambda stimulus=stimulus: self._apply(stimulus), Rank.OUTSIDE)  # type: ignore[misc]

    def run(self, until: float | None = None) -> RunResult:
        """Runs to the end, or up to a moment (seconds since the start)."""
        try:
            self._start()
            self._run(until)
            return self._result(until)
        finally:
            self._delete()

    def _build_container(self, url: str, limits: Limits) -> Container:
        settings = Settings(
            key_prefix=self._prefix,
            retention=_FOR_EVER,
            max_payload_bytes=limits.payload_bytes,
            max_events=limits.events,
            max_wait=limits.max_wait_seconds,
            max_concurrency=limits.max_concurrency,
        )
        return build_container(
            connect(url),
            settings,
            routes=Routes(queues=dict.fromkeys(STEP_TYPES.values(), self._queue)),
            publish=_published_already,
            functions=self._functions,
            worker=lambda: WORKER,
            clock=self._clock,
        )

    def _start(self) -> None:
        for name, flow in {**self._flows, self._ref.flow: self._flow}.items():
            self._container.definitions.deploy(name, flow.digest, flow.text, EPOCH)
        self._container.starter.start(self._ref.flow, self._input, self._ref.name)

    def _run(self, until: float | None) -> None:
        self._work()
        while (moment := self._next_moment()) is not None and (until is None or moment <= until):
            self._event_queue.now = moment
            self._clock.frozen_at = self._event_queue.moment
            self._keep()
            while self._event_queue.run_due():
                self._work()
            self._container.sweeper.sweep(at_once=True)
            self._work()

    def _next_moment(self) -> float | None:
        wake_up = self._container.store.next_wake_up()
        moments = [self._event_queue.next]
        if wake_up is not None and wake_up - EPOCH < _FOR_EVER:
            moments.append(max(self._event_queue.now, round(wake_up - EPOCH, 6)))
        return min((moment for moment in moments if moment is not None), default=None)

    def _keep(self) -> None:
        """As a worker does: vouches for the calls that it runs."""
        for running in self._running:
            self._container.store.renew(running.key, WORKER)

    def _work(self) -> None:
        with translated():
            while (text := self._container.store.client.rpop(self._queue)) is not None:
                self._deliver(messages.key_of(json.loads(json.loads(text)["body"])[0]))

    def _deliver(self, key: MessageKey) -> None:
        answer = self._container.store.claim(key, f"{WORKER}.{new_token()}")
        if isinstance(answer, Early):
            self._event_queue.put(self._event_queue.now + answer.seconds, lambda: self._deliver(key))
        elif isinstance(answer, Claimed):
            self._proceed(answer)

    def _proceed(self, claimed: Claimed | None) -> None:
        while claimed is not None:
            if claimed.kind == "call":
                self._call(claimed)
                return
            claimed = self._container.engine.advance(claimed)

    def _call(self, claimed: Claimed) -> None:
        event = self._event(claimed)
        takes = self._stopwatch.seconds
        if takes <= 0:
            self._end_call(claimed, event)
            return
        running = _Running(claimed.key, claimed)
        self._running.append(running)

        def ends() -> None:
            self._running.remove(running)
            self._end_call(claimed, event)

        self._event_queue.put(self._event_queue.now + takes, ends)

    def _end_call(self, claimed: Claimed, event: Event | None) -> None:
        if event is not None:
            self._proceed(self._container.engine.advance(claimed, event))
            return
        # Its worker is dead: the lease is let go at once, where in production it would have to lapse.
        self._container.engine.release(claimed)

    def _event(self, claimed: Claimed) -> Event | None:
        """What comes of the call; None if its worker dies."""
        flow = self._container.engine.flows.get(claimed.digest)
        request = call_of(flow, claimed.state, claimed.info)
        if request is None:
            raise TypeError(claimed.kind)
        self._stopwatch.seconds = 0.0
        request = self._noted(claimed, request)
        try:
            return self._container.engine.caller.call(claimed, request)
        except WorkerDied:
            return None

    def _noted(self, claimed: Claimed, request: CallRequest) -> CallRequest:
        resource = request.resource
        scripted = self._functions.find(resource) is not None
        is_flow = isinstance(resource, FlowResource)
        is_made = claimed.crashes < self._container.engine.caller.max_crashes
        if is_made and (scripted or is_flow):
            name = claimed.info.flow_name
            self._calls.append(CallMade(self._event_queue.now, name, request.step, resource, request.payload))
        if scripted and is_flow:
            return replace(request, resource=ServiceResource(resource.arn, takes_params=False))
        return request

    def _apply(self, stimulus: Stimulus) -> None:
        engine = self._container.engine
        try:
            if isinstance(stimulus, Stop):
                if (
                    engine.end(
                        self._container.reading.execution(self._ref).key, Status.STOPPED, stimulus.error, stimulus.cause
                    )
                    is not None
                ):
                    raise ExecutionAlreadyCompleted
                return
            engine.report(self._token_at(stimulus.step), _event_of(stimulus))
        except PollflowError as error:
            self._refused.append(f"{stimulus.seconds:g} s: {error}")

    def _token_at(self, step_name: str) -> str:
        """The task token of the frame that has waited longest at the step. As if its function had handed it out."""
        reading = self._container.reading
        waiting = []
        for record in reading.executions(flow=None, status=Status.RUNNING, limit=1000):
            flow = self._container.engine.flows.get(record.digest)
            for name, frame in reading.frames(record.ref).items():
                step = step_at(flow, frame.state.levels[-1])
                is_there = isinstance(step, TaskStep) and step.name == step_name
                notified = frame.starts > 0 or frame.state.phase is Phase.CALLBACK
                if is_there and notified and step.pattern is Pattern.WAIT_FOR_CALLBACK:  # type: ignore[attr-defined]
                    token = task_token(record.info, frame.state)
                    waiting.append((record.started_at, frame.sent_at, name, token))
        if not waiting:
            raise PollflowError(f"nothing waits for a report at step {step_name!r}")
        return min(waiting)[-1]

    def _result(self, until: float | None) -> RunResult:
        records = self._container.reading.executions(flow=None, status=None, limit=10_000)
        results = {record.ref: self._result_of(record.ref, until) for record in reversed(records)}
        root = results.pop(self._ref)
        return replace(
            root,
            calls=tuple(self._calls),
            refused=tuple(self._refused),
            sub_executions=tuple(results.values()),
        )

    def _result_of(self, ref: ExecutionRef, until: float | None) -> RunResult:
        record = self._container.reading.execution(ref)
        history = tuple(self._container.reading.whole_history(record.key))
        ended = record.ended_at or max(history[-1].at, EPOCH + (until or 0))
        failed = record.status.ended and record.status is not Status.SUCCEEDED
        return RunResult(
            flow=ref.flow,
            name=ref.name,
            status=record.status,
            output=record.output,
            error=record.error if failed else None,
            cause=record.cause if failed else None,
            seconds=round(ended - record.started_at, 6),
            history=history,
        )

    def _delete(self) -> None:
        client = self._container.store.client
        with translated():
            doomed = list(client.scan_iter(f"{self._prefix}:*", count=1000))
            for start in range(0, len(doomed), 500):
                client.unlink(*doomed[start : start + 500])
            client.close()


def run_on_redis(url: str, case: Case, flow: Flow) -> RunResult:
    """The run of a case on the Redis at the URL."""
    run = RedisRun(
        url,
        flow,
        case.input,
        functions=case.functions,
        flows={name: definition.read() for name, definition in case.flows.items()},
        stimuli=case.stimuli,
        limits=case.limits,
        flow_name=case.definition.name,
    )
    return run.run(case.until)


def _event_of(stimulus: ReportSucceeded | ReportFailed) -> Event:
    if isinstance(stimulus, ReportSucceeded):
        return ReportedSucceeded(stimulus.output)
    return ReportedFailed(stimulus.error, stimulus.cause)


def _published_already(message: Message) -> None:
    """Every script of a run publishes itself."""
