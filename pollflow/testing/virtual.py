"""A run in virtual time: one execution, the sub-flows it starts, the functions it calls, and what is done from outside.

The functions of a run answer through the same `Caller` as in production, so an exception, a result that is no object
or a missing function comes to the same event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pollflow.errors import ExecutionAlreadyExists, FlowNotExists, InvalidArgument
from pollflow.fdl.model import Flow, FlowResource, JsonObject, Pattern, ServiceResource, Step, TaskStep
from pollflow.machine import (
    CallRequest,
    Event,
    ExecutionInfo,
    Limits,
    Raised,
    ReportedFailed,
    ReportedSucceeded,
    Returned,
    Status,
    Submitted,
)
from pollflow.machine.data import step_at
from pollflow.runtime.calls import Caller
from pollflow.runtime.functions import Functions
from pollflow.runtime.objects import checked_object
from pollflow.runtime.starting import checked_name
from pollflow.runtime.subflows import asked_of
from pollflow.store import Claimed, ExecutionKey, ExecutionRef, MessageKey
from pollflow.testing.event_queue import EPOCH, EventQueue, Rank
from pollflow.testing.execution import Answer, Environment, Execution, Frame
from pollflow.testing.replies import Source, Stopwatch, WorkerDied, registry
from pollflow.testing.result import CallMade, RunResult
from pollflow.testing.stimuli import ReportSucceeded, Stimulus, Stop

MAX_CRASHES = 5
"""As in production: after so many calls cut off by the death of their process, a step fails with `FC.Unknown`."""


@dataclass(frozen=True, slots=True)
class _ParentLink:
    """A step that waits for the end of a sub-execution: its frame, and its entry and attempt."""

    execution: Execution
    frame: str
    token: tuple[int, int]
    sub: Execution
    notify_on_success: bool
    has_started_it: bool


class VirtualRun:
    """Runs a flow once. Neither Redis nor Celery takes part, and no time passes."""

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
    ) -> None:
        self._event_queue = EventQueue()
        self._stopwatch = Stopwatch()
        self._functions = registry(functions or {}, self._stopwatch)
        self._flows = dict(flows or {})
        self._limits = limits or Limits()
        # Sub-flows are started here and never by the caller, so it needs nothing to start them with.
        no_sub_flows: Any = None
        self._caller = Caller(self._functions, no_sub_flows, MAX_CRASHES)
        self._executions: dict[ExecutionRef, Execution] = {}
        self._parent_links: list[_ParentLink] = []
        self._calls: list[CallMade] = []
        self._refused: list[str] = []
        ref = ExecutionRef(flow_name or flow.name or "flow", execution_name)
        self._flows[ref.flow] = flow
        self._root = self._start(ref, flow, checked_object("input", input or {}, self._limits.payload_bytes))
        for stimulus in stimuli:
            self._put(stimulus)

    def run(self, until: float | None = None) -> RunResult:
        """Runs to the end, or up to a moment (seconds since the start)."""
        self._event_queue.run(until)
        if until is not None and self._root.status is Status.RUNNING:
            self._root.ended = max(self._root.ended, until)
        subs = tuple(self._result(ref, sub) for ref, sub in self._executions.items() if sub is not self._root)
        root = next(iter(self._executions))
        return replace(
            self._result(root, self._root),
            calls=tuple(self._calls),
            refused=tuple(self._refused),
            sub_executions=subs,
        )

    def _start(self, ref: ExecutionRef, flow: Flow, input: JsonObject) -> Execution:
        number = len(self._executions) + 1
        info = ExecutionInfo(ref.flow, ref.name, f"virtual-{number}", self._event_queue.moment, f"secret-{number}")
        environment = Environment(self._event_queue, self._limits, self._call, self._ended, self._timed_out)
        self._executions[ref] = execution = Execution(flow, info, input, environment)
        execution.begin()
        return execution

    def _result(self, ref: ExecutionRef, execution: Execution) -> RunResult:
        outcome = execution.outcome
        failed = outcome is not None and outcome.status is not Status.SUCCEEDED
        return RunResult(
            flow=ref.flow,
            name=ref.name,
            status=execution.status,
            output=outcome.output if outcome else None,
            error=outcome.error if outcome and failed else None,
            cause=outcome.cause if outcome and failed else None,
            seconds=round(execution.ended - execution.started, 6),
            history=tuple(execution.history),
        )

    def _call(self, execution: Execution, frame: Frame, request: CallRequest) -> Answer:
        resource = request.resource
        scripted = self._functions.find(resource) is not None
        is_made = frame.starts <= MAX_CRASHES
        if is_made and (scripted or isinstance(resource, FlowResource)):
            input = request.payload
            self._calls.append(CallMade(self._event_queue.now, execution.info.flow_name, request.step, resource, input))
        if isinstance(resource, FlowResource):
            if not scripted:
                return Answer(self._start_sub_flow(execution, frame, request))
            request = replace(request, resource=ServiceResource(resource.arn, takes_params=False))
        self._stopwatch.seconds = 0.0
        try:
            event: Event | None = self._caller.call(_claimed(execution, frame, self._event_queue.moment), request)
        except WorkerDied:
            event = None
        return Answer(event, self._stopwatch.seconds)

    def _start_sub_flow(self, execution: Execution, frame: Frame, request: CallRequest) -> Event:
        if not isinstance(request.resource, FlowResource):
            raise TypeError(request.resource)
        try:
            flow_name, name, input = asked_of(request, request.resource)
        except ValueError as error:
            return Raised("FnF.RuntimeError", str(error))
        ref = ExecutionRef(flow_name, name)
        has_started_it = ref not in self._executions
        try:
            sub = self._sub_execution(ref, input)
        except (FlowNotExists, ExecutionAlreadyExists, InvalidArgument) as error:
            return Raised(f"fnf.{type(error).__name__}", str(error))
        started = {"FlowName": flow_name, "Name": name}
        if request.pattern is Pattern.REQUEST_RESPONSE:
            return Returned({**started, "Status": sub.status.value})
        token = (frame.state.entry, frame.state.attempt)
        # A callback is waited for whatever the sub-flow returns; but its failure is that of the call.
        notify_on_success = request.pattern is Pattern.SYNC
        self._parent_links.append(
            _ParentLink(execution, frame.state.frame, token, sub, notify_on_success, has_started_it)
        )
        return Submitted(started)

    def _sub_execution(self, ref: ExecutionRef, input: JsonObject) -> Execution:
        """Starts it, or finds the one that runs under the name; what it raises is what starting raises."""
        checked_name("a flow", ref.flow)
        checked_name("an execution", ref.name)
        input = checked_object("input", input, self._limits.payload_bytes)
        flow = self._flows.get(ref.flow)
        if flow is None:
            deployed = ", ".join(sorted(self._flows))
            raise FlowNotExists(f"no flow {ref.flow!r} is deployed; deployed: {deployed}")
        known = self._executions.get(ref)
        if known is None:
            return self._start(ref, flow, input)
        if known.status.ended:
            which = f"has ended ({known.status.value}); use another name or purge it"
            raise ExecutionAlreadyExists(f'execution "{ref}" exists already and {which}')
        return known

    def _ended(self, execution: Execution) -> None:
        self._event_queue.put(self._event_queue.now, lambda: self._notify(execution))

    def _timed_out(self, execution: Execution, frame: str, token: tuple[int, int]) -> None:
        """Nobody waits for what the attempt has started any more."""
        for parent_link in list(self._parent_links):
            if (parent_link.execution, parent_link.frame, parent_link.token) == (
                execution,
                frame,
                token,
            ) and parent_link.has_started_it:
                parent_link.sub.end(Status.STOPPED, "FnF.TaskTimeout", "the step that waited timed out")

    def _notify(self, execution: Execution) -> None:
        """Tells the steps that wait for the execution how it ended, and stops what its own steps waited for."""
        outcome = execution.outcome
        if outcome is None:
            return
        for parent_link in list(self._parent_links):
            if parent_link.sub is execution:
                if outcome.status is not Status.SUCCEEDED:
                    event: Event = ReportedFailed(outcome.error, outcome.cause)
                elif parent_link.notify_on_success:
                    event = ReportedSucceeded(outcome.output or {})
                else:
                    continue
                parent_link.execution.report(parent_link.frame, parent_link.token, event)
            elif parent_link.execution is execution and parent_link.has_started_it and _still_waits(parent_link):
                parent_link.sub.end(Status.STOPPED, outcome.error, outcome.cause)

    def _put(self, stimulus: Stimulus) -> None:
        self._event_queue.put(stimulus.seconds, lambda: self._apply(stimulus), Rank.OUTSIDE)

    def _apply(self, stimulus: Stimulus) -> None:
        if isinstance(stimulus, Stop):
            if not self._root.end(Status.STOPPED, stimulus.error, stimulus.cause):
                self._refused.append(f"{stimulus.seconds:g} s: the execution has ended, so it cannot be stopped")
            return
        waiting = self._waiting_at(stimulus.step)
        if waiting is None:
            self._refused.append(f"{stimulus.seconds:g} s: nothing waits for a report at step {stimulus.step!r}")
            return
        execution, frame = waiting
        event = (
            ReportedSucceeded(stimulus.output)
            if isinstance(stimulus, ReportSucceeded)
            else ReportedFailed(stimulus.error, stimulus.cause)
        )
        execution.report(frame.state.frame, (frame.state.entry, frame.state.attempt), event)

    def _waiting_at(self, step_name: str) -> tuple[Execution, Frame] | None:
        """The frame that has waited longest for a callback at the step, called already: else nobody has its token."""
        running = [execution for execution in self._executions.values() if not execution.status.ended]
        waiting = [
            (execution, frame)
            for execution in running
            for frame in execution.frames.values()
            if _waits_at(step_at(execution.flow, frame.state.levels[-1]), step_name) and frame.has_called
        ]
        return min(waiting, key=lambda found: (running.index(found[0]), found[1].last), default=None)


def _waits_at(step: Step, name: str) -> bool:
    return isinstance(step, TaskStep) and step.pattern is Pattern.WAIT_FOR_CALLBACK and step.name == name


def _still_waits(parent_link: _ParentLink) -> bool:
    frame = parent_link.execution.frames.get(parent_link.frame)
    return frame is not None and (frame.state.entry, frame.state.attempt) == parent_link.token


def _claimed(execution: Execution, frame: Frame, moment: float) -> Claimed:
    info = execution.info
    return Claimed(
        key=MessageKey(ExecutionKey.of(info), frame.state.frame, str(frame.token)),
        nonce="virtual",
        kind="call",
        state=frame.state,
        info=info,
        digest=execution.flow.digest,
        at=moment,
        starts=frame.starts,
        deadline=None if frame.deadline is None else EPOCH + frame.deadline,
    )
