"""One execution in virtual time: its frames, moved by `decide` as the runtime and the store's scripts move them.

What a script does in one go is one method here, and its events come in the same order with the same causes. Nothing
in here knows what a step means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pollflow.fdl.model import Flow, JsonObject
from pollflow.machine import (
    ROOT,
    Arrived,
    AwaitChildren,
    AwaitReport,
    CallRequest,
    Decision,
    Event,
    ExecutionInfo,
    FrameState,
    HistoryEvent,
    Join,
    Joined,
    Limits,
    Outcome,
    Phase,
    ScheduleCall,
    ScheduleStep,
    Status,
    TimedOut,
    Wake,
    begin,
    call_of,
    decide,
)
from pollflow.store import StoredEvent
from pollflow.testing.event_queue import EPOCH, EventQueue, Rank


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call comes to, `takes` seconds after it began. Without an event its worker has died by then."""

    event: Event | None
    takes: float = 0


@dataclass(slots=True)
class Frame:
    """A frame as the store keeps it. `token` is its token: what was put down for an earlier turn is stale.

    `deadline` is that of the present attempt, in seconds of virtual time; `starts` counts the calls begun for it.
    """

    state: FrameState
    wake: Wake
    last: int
    token: int = 0
    starts: int = 0
    deadline: float | None = None
    join: Join | None = None
    notified: bool = False
    results: dict[int, JsonObject] = field(default_factory=dict)

    @property
    def has_called(self) -> bool:
        """Whether the present attempt's call has been made, so that somebody may have its task token."""
        return self.starts > 0 or self.state.phase is Phase.CALLBACK


@dataclass(frozen=True, slots=True)
class Environment:
    """What an execution needs from the run: time, limits, how calls are made, and who hears of its end."""

    event_queue: EventQueue
    limits: Limits
    call: Callable[[Execution, Frame, CallRequest], Answer]
    ended: Callable[[Execution], None]
    timed_out: Callable[[Execution, str, tuple[int, int]], None]
    """A step's attempt (frame, entry and attempt) has timed out."""


class Execution:
    """Runs one flow."""

    def __init__(self, flow: Flow, info: ExecutionInfo, input: JsonObject, environment: Environment) -> None:
        self.flow = flow
        self.history: list[StoredEvent] = []
        self.frames: dict[str, Frame] = {}
        self.status = Status.RUNNING
        self.outcome: Outcome | None = None
        self.started = self.ended = environment.event_queue.now
        self._info = info
        self._input = input
        self._environment = environment

    @property
    def info(self) -> ExecutionInfo:
        """What the machine knows of the execution at this moment."""
        return replace(self._info, events=len(self.history))

    def begin(self) -> None:
        """Starts it."""
        decision = begin(self.flow, self._input, self._info, self._environment.limits)
        self._new_frame(decision, 0)
        if self.flow.timeout_seconds is not None:
            self._environment.event_queue.put(self.started + self.flow.timeout_seconds, self._time_out, Rank.DEADLINE)

    def end(self, status: Status, error: str, cause: str) -> bool:
        """Stops it or ends it by its time limit; False if it has ended already."""
        if self.status.ended:
            return False
        event = HistoryEvent(f"Execution{status.value}", "", {"error": error, "cause": cause})
        self._end((event,), self.frames[ROOT].last, Outcome(status, None, error, cause))
        return True

    def report(self, name: str, token: tuple[int, int], event: Event) -> bool:
        """Reports the task that a frame is at; `token` is the entry and the attempt. False if it waits no longer."""
        frame = self.frames.get(name)
        if self.status.ended or frame is None or (frame.state.entry, frame.state.attempt) != token:
            return False
        self._decide(frame, event)
        return True

    def _time_out(self) -> None:
        cause = f"the execution did not end within {self.flow.timeout_seconds:g} seconds"
        self.end(Status.TIMED_OUT, "FnF.ExecutionTimeout", cause)

    def _append(self, history: Sequence[HistoryEvent], cause: int) -> int:
        """Each event is caused by the one before it, the first by `cause`. The number of the last one."""
        moment = self._environment.event_queue.moment
        for event in history:
            number = len(self.history) + 1
            self.history.append(StoredEvent(number, cause, moment, event.type, event.step, event.detail))
            cause = number
        self.ended = self._environment.event_queue.now
        return cause

    def _new_frame(self, decision: Decision, cause: int) -> None:
        state, wake = _going_on(decision)
        frame = Frame(state, wake, cause)
        self.frames[state.frame] = frame
        self._schedule_next(frame, decision, continue_inline=False)

    def _schedule_next(self, frame: Frame, decision: Decision, *, continue_inline: bool) -> None:
        """The frame goes on under a new token; with `continue_inline` at once, in the same turn."""
        frame.last = self._append(decision.history, frame.last)
        frame.state, frame.wake = _going_on(decision)
        frame.token += 1
        frame.starts = 0
        frame.join, frame.results = None, {}
        if isinstance(frame.wake, AwaitReport):
            return
        frame.deadline = None
        if continue_inline:
            self._arrive(frame, frame.token)
        else:
            self._send(frame)

    def _send(self, frame: Frame) -> None:
        now, wake, token = self._environment.event_queue.now, frame.wake, frame.token
        due = now
        if isinstance(wake, ScheduleStep | ScheduleCall):
            due = now + wake.after
        if isinstance(wake, ScheduleStep) and wake.at is not None:
            due = wake.at - EPOCH
        self._environment.event_queue.put(due, lambda: self._arrive(frame, token))

    def _arrive(self, frame: Frame, token: int) -> None:
        """A message has come: what it brings is done, unless it is stale."""
        if self.status.ended or frame.token != token:
            return
        if isinstance(frame.wake, ScheduleCall):
            self._start_call(frame, frame.wake, token)
        elif isinstance(frame.wake, AwaitChildren):
            self._look_at_children(frame)
        else:
            self._decide(frame, Arrived(at=self._environment.event_queue.moment))

    def _start_call(self, frame: Frame, wake: ScheduleCall, token: int) -> None:
        event_queue = self._environment.event_queue
        if self.status.ended or frame.token != token:
            return
        if frame.deadline is not None and frame.deadline <= event_queue.now:
            return
        frame.starts += 1
        detail: JsonObject = {"attempt": wake.metadata.attempt, "start": frame.starts}
        frame.last = self._append((HistoryEvent("TaskStarted", wake.metadata.step, detail),), frame.last)
        if frame.deadline is None and wake.timeout is not None:
            self._set_deadline(frame, event_queue.now + wake.timeout)
        request = call_of(self.flow, frame.state, self.info)
        if request is None:
            raise TypeError(frame.state)
        answer = self._environment.call(self, frame, request)
        if answer.takes > 0:
            event_queue.put(event_queue.now + answer.takes, lambda: self._end_call(frame, wake, token, answer.event))
        else:
            self._end_call(frame, wake, token, answer.event)

    def _end_call(self, frame: Frame, wake: ScheduleCall, token: int, event: Event | None) -> None:
        if self.status.ended or frame.token != token:
            return
        if event is None:
            # A lease has to lapse in production; here the call is made again as soon as its worker is dead.
            self._environment.event_queue.put(
                self._environment.event_queue.now, lambda: self._start_call(frame, wake, token)
            )
        else:
            self._decide(frame, event)

    def _set_deadline(self, frame: Frame, deadline: float) -> None:
        frame.deadline = deadline
        token_of = (frame.state.entry, frame.state.attempt)

        def passed() -> None:
            still = (frame.state.entry, frame.state.attempt) == token_of and frame.deadline is not None
            if still and not self.status.ended and self.frames.get(frame.state.frame) is frame:
                self._decide(frame, TimedOut())
                self._environment.timed_out(self, frame.state.frame, token_of)

        self._environment.event_queue.put(deadline, passed, Rank.DEADLINE)

    def _look_at_children(self, frame: Frame) -> None:
        frame.notified = False
        join = frame.join
        if join is None:
            raise TypeError(frame)
        if join.ended == join.total:
            self._decide(frame, Joined(tuple(frame.results[index] for index in sorted(frame.results))))
        elif join.made < join.total and join.open < self._environment.limits.max_concurrency:
            self._decide(frame, Arrived(join))

    def _decide(self, frame: Frame, event: Event) -> None:
        # The message that ends a wait is that of the next step, which goes on at once.
        continue_inline = frame.state.phase is Phase.WAITING
        decision = decide(self.flow, frame.state, event, info=self.info, limits=self._environment.limits)
        if decision.outcome is not None:
            self._end_frame(frame, decision, decision.outcome)
        elif isinstance(decision.wake, AwaitChildren):
            self._fan_out(frame, decision, decision.wake)
        else:
            self._schedule_next(frame, decision, continue_inline=continue_inline)

    def _fan_out(self, frame: Frame, decision: Decision, wake: AwaitChildren) -> None:
        join = frame.join or Join(total=wake.total or 0, made=0, ended=0)
        frame.last = self._append(decision.history, frame.last)
        frame.state, frame.wake = _going_on(decision)
        frame.token += frame.join is None
        frame.join = join = replace(join, made=join.made + len(decision.spawn))
        # A slice is smaller than the room: what is left is made by the next message.
        frame.notified = join.made < join.total and join.open < self._environment.limits.max_concurrency
        if frame.notified:
            self._send(frame)
        for child in decision.spawn:
            self._new_frame(child, frame.last)

    def _end_frame(self, frame: Frame, decision: Decision, outcome: Outcome) -> None:
        name = frame.state.frame
        if name == ROOT or outcome.status is Status.FAILED:
            self._end(decision.history, frame.last, outcome)
            return
        self._append(decision.history, frame.last)
        del self.frames[name]
        frame.token += 1
        self._fan_in(name, outcome)

    def _fan_in(self, child: str, outcome: Outcome) -> None:
        above, _, index = child.rpartition(".")
        parent = self.frames[above.rpartition(".")[0]]
        if parent.join is None:
            raise TypeError(parent)
        parent.join = join = replace(parent.join, ended=parent.join.ended + 1)
        parent.results[int(index)] = outcome.output or {}
        # The last one always tells; a free slot is told once, until the parent has looked.
        if join.ended == join.total or (join.made < join.total and not parent.notified):
            parent.notified = True
            self._send(parent)

    def _end(self, history: Sequence[HistoryEvent], cause: int, outcome: Outcome) -> None:
        self._append(history, cause)
        self.status, self.outcome = outcome.status, outcome
        self._environment.ended(self)


def _going_on(decision: Decision) -> tuple[FrameState, Wake]:
    if decision.state is None or decision.wake is None:
        raise TypeError(decision)
    return decision.state, decision.wake
