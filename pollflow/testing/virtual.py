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
    About,
    CallRequest,
    Event,
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
from pollflow.store import Address, Claimed, ExecutionRef
from pollflow.testing.acts import Act, ReportSucceeded, Stop
from pollflow.testing.agenda import EPOCH, Agenda, Rank
from pollflow.testing.execution import Answer, Execution, Frame, Surroundings
from pollflow.testing.replies import Source, Stopwatch, WorkerDied, registry
from pollflow.testing.result import CallMade, RunResult

LOST_ATTEMPTS = 5
"""As in production: after so many calls cut off by the death of their process, a step fails with `FC.Unknown`."""


@dataclass(frozen=True, slots=True)
class _Waiter:
    """A step that waits for the end of a sub-execution: its frame, and its entry and attempt."""

    execution: Execution
    frame: str
    turn: tuple[int, int]
    sub: Execution
    hears_success: bool
    has_started_it: bool


class VirtualRun:
    """Runs a flow once. Neither Redis nor Celery takes part, and no time passes."""

    def __init__(
        self,
        flow: Flow,
        given: JsonObject | None = None,
        *,
        functions: Functions | Mapping[str, Source] | None = None,
        flows: Mapping[str, Flow] | None = None,
        acts: Sequence[Act] = (),
        limits: Limits | None = None,
        flow_name: str | None = None,
        execution_name: str = "test",
    ) -> None:
        self._agenda = Agenda()
        self._stopwatch = Stopwatch()
        self._functions = registry(functions or {}, self._stopwatch)
        self._flows = dict(flows or {})
        self._limits = limits or Limits()
        # Sub-flows are started here and never by the caller, so it needs nothing to start them with.
        no_sub_flows: Any = None
        self._caller = Caller(self._functions, no_sub_flows, LOST_ATTEMPTS)
        self._executions: dict[ExecutionRef, Execution] = {}
        self._waiters: list[_Waiter] = []
        self._calls: list[CallMade] = []
        self._refused: list[str] = []
        ref = ExecutionRef(flow_name or flow.name or "flow", execution_name)
        self._flows[ref.flow] = flow
        self._root = self._start(ref, flow, checked_object("input", given or {}, self._limits.data_bytes))
        for act in acts:
            self._put(act)

    def run(self, until: float | None = None) -> RunResult:
        """Runs to the end, or up to a moment (seconds since the start)."""
        self._agenda.run(until)
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

    def _start(self, ref: ExecutionRef, flow: Flow, given: JsonObject) -> Execution:
        number = len(self._executions) + 1
        about = About(ref.flow, ref.name, f"virtual-{number}", self._agenda.moment, f"secret-{number}")
        around = Surroundings(self._agenda, self._limits, self._call, self._ended, self._timed_out)
        self._executions[ref] = execution = Execution(flow, about, given, around)
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
        is_made = frame.starts <= LOST_ATTEMPTS
        if is_made and (scripted or isinstance(resource, FlowResource)):
            given = request.payload
            self._calls.append(CallMade(self._agenda.now, execution.about.flow_name, request.step, resource, given))
        if isinstance(resource, FlowResource):
            if not scripted:
                return Answer(self._start_sub_flow(execution, frame, request))
            request = replace(request, resource=ServiceResource(resource.arn, takes_params=False))
        self._stopwatch.seconds = 0.0
        try:
            event: Event | None = self._caller.call(_claimed(execution, frame, self._agenda.moment), request)
        except WorkerDied:
            event = None
        return Answer(event, self._stopwatch.seconds)

    def _start_sub_flow(self, execution: Execution, frame: Frame, request: CallRequest) -> Event:
        if not isinstance(request.resource, FlowResource):
            raise TypeError(request.resource)
        try:
            flow_name, name, given = asked_of(request, request.resource)
        except ValueError as error:
            return Raised("FnF.RuntimeError", str(error))
        ref = ExecutionRef(flow_name, name)
        has_started_it = ref not in self._executions
        try:
            sub = self._sub_execution(ref, given)
        except (FlowNotExists, ExecutionAlreadyExists, InvalidArgument) as error:
            return Raised(f"fnf.{type(error).__name__}", str(error))
        started = {"FlowName": flow_name, "Name": name}
        if request.pattern is Pattern.REQUEST_RESPONSE:
            return Returned({**started, "Status": sub.status.value})
        turn = (frame.state.entry, frame.state.attempt)
        # A callback is waited for whatever the sub-flow returns; but its failure is that of the call.
        hears_success = request.pattern is Pattern.SYNC
        self._waiters.append(_Waiter(execution, frame.state.frame, turn, sub, hears_success, has_started_it))
        return Submitted(started)

    def _sub_execution(self, ref: ExecutionRef, given: JsonObject) -> Execution:
        """Starts it, or finds the one that runs under the name; what it raises is what starting raises."""
        checked_name("a flow", ref.flow)
        checked_name("an execution", ref.name)
        given = checked_object("input", given, self._limits.data_bytes)
        flow = self._flows.get(ref.flow)
        if flow is None:
            deployed = ", ".join(sorted(self._flows))
            raise FlowNotExists(f"no flow {ref.flow!r} is deployed; deployed: {deployed}")
        known = self._executions.get(ref)
        if known is None:
            return self._start(ref, flow, given)
        if known.status.ended:
            which = f"which has ended ({known.status.value})"
            raise ExecutionAlreadyExists(f"flow {ref.flow!r} has an execution {ref.name!r} already, {which}")
        return known

    def _ended(self, execution: Execution) -> None:
        self._agenda.put(self._agenda.now, lambda: self._tell(execution))

    def _timed_out(self, execution: Execution, frame: str, turn: tuple[int, int]) -> None:
        """Nobody waits for what the attempt has started any more."""
        for waiter in list(self._waiters):
            if (waiter.execution, waiter.frame, waiter.turn) == (execution, frame, turn) and waiter.has_started_it:
                waiter.sub.end(Status.STOPPED, "FnF.TaskTimeout", "the step that waited timed out")

    def _tell(self, execution: Execution) -> None:
        """Tells the steps that wait for the execution how it ended, and stops what its own steps waited for."""
        outcome = execution.outcome
        if outcome is None:
            return
        for waiter in list(self._waiters):
            if waiter.sub is execution:
                if outcome.status is not Status.SUCCEEDED:
                    event: Event = ReportedFailed(outcome.error, outcome.cause)
                elif waiter.hears_success:
                    event = ReportedSucceeded(outcome.output or {})
                else:
                    continue
                waiter.execution.report(waiter.frame, waiter.turn, event)
            elif waiter.execution is execution and waiter.has_started_it and _still_waits(waiter):
                waiter.sub.end(Status.STOPPED, outcome.error, outcome.cause)

    def _put(self, act: Act) -> None:
        self._agenda.put(act.seconds, lambda: self._act(act), Rank.OUTSIDE)

    def _act(self, act: Act) -> None:
        if isinstance(act, Stop):
            if not self._root.end(Status.STOPPED, act.error, act.cause):
                self._refused.append(f"{act.seconds:g} s: the execution has ended, so it cannot be stopped")
            return
        waiting = self._waiting_at(act.step)
        if waiting is None:
            self._refused.append(f"{act.seconds:g} s: nothing waits for a report at step {act.step!r}")
            return
        execution, frame = waiting
        event = (
            ReportedSucceeded(act.output) if isinstance(act, ReportSucceeded) else ReportedFailed(act.error, act.cause)
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


def _still_waits(waiter: _Waiter) -> bool:
    frame = waiter.execution.frames.get(waiter.frame)
    return frame is not None and (frame.state.entry, frame.state.attempt) == waiter.turn


def _claimed(execution: Execution, frame: Frame, moment: float) -> Claimed:
    about = execution.about
    return Claimed(
        address=Address(ExecutionRef(about.flow_name, about.execution_name), frame.state.frame, str(frame.turn)),
        nonce="virtual",
        kind="call",
        state=frame.state,
        about=about,
        digest=execution.flow.digest,
        at=moment,
        starts=frame.starts,
        deadline=None if frame.deadline is None else EPOCH + frame.deadline,
    )
