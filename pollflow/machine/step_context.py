"""The way through a frame: entering steps, leaving them, ending series. Every rule moves a frame by this alone.

A walk is made for one decision and thrown away with it; what it starts from and what it answers are values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pollflow.fdl.model import (
    ChoiceStep,
    Flow,
    ForeachStep,
    Json,
    JsonObject,
    Option,
    ParallelStep,
    Pattern,
    Series,
    Step,
    SucceedStep,
    TaskStep,
)
from pollflow.machine.data import (
    context_object,
    flow_output,
    map_values,
    parent_input,
    size_of,
    size_text,
    step_at,
    step_input,
)
from pollflow.machine.decision import (
    Decision,
    HistoryEvent,
    MessageMetadata,
    Outcome,
    ScheduleCall,
    ScheduleStep,
    Status,
    Wake,
)
from pollflow.machine.state import ROOT, ExecutionInfo, FrameState, Level, Phase

_OWNER = re.compile(
    r"^(?P<series>.*steps)\[(?P<step>\d+)\]\.(?:(?P<kind>choices|branches)\[(?P<index>\d+)\]\.|default\.)?steps$"
)


class StepRefused(Exception):
    """A step cannot go on: an error name and its cause, which no `catch` sees."""

    def __init__(self, error: str, cause: str) -> None:
        self.error = error
        self.cause = cause
        super().__init__(f"{error}: {cause}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What an execution may use. `payload_bytes` bounds a step's input, output and local together; `events` its
    history; `max_concurrency` the children of a step that run at once; `max_wait_seconds` one wait.
    """

    payload_bytes: int = 32 * 1024
    events: int = 250_000
    max_concurrency: int = 100
    max_wait_seconds: float = 365 * 86_400


class StepContext:
    """One frame on its way. Raises StepRefused where data would grow over its limit."""

    def __init__(self, flow: Flow, state: FrameState, info: ExecutionInfo, limits: Limits) -> None:
        self.flow = flow
        self.state = state
        self.info = info
        self.limits = limits
        self.history: list[HistoryEvent] = []

    @property
    def step(self) -> Step:
        """The step that the frame is at."""
        return step_at(self.flow, self.state.levels[-1])

    @property
    def input(self) -> JsonObject:
        """The input of that step."""
        return step_input(self.flow, self.state, self.info)

    def note(self, type: str, **detail: Json) -> None:
        """Appends an event about the present step."""
        self.history.append(HistoryEvent(type, self.step.name, detail))

    def goes_on(self, wake: Wake, *, spawn: tuple[Decision, ...] = (), **changes: Json) -> Decision:
        """The entry stays, changed; it goes on when `wake` says."""
        self.state = replace(self.state, **changes)
        return Decision(tuple(self.history), state=self.state, wake=wake, spawn=spawn)

    def enter(self, position: int) -> Decision:
        """Enters a step of the present series."""
        level = replace(self.state.levels[-1], step=position, entered=self.info.events + len(self.history) + 1)
        self.state = replace(
            self.state,
            levels=(*self.state.levels[:-1], level),
            entry=self.state.entry + 1,
            phase=Phase.READY,
            attempt=1,
            retries=(),
            last_error="",
        )
        return self.entered()

    def entered(self) -> Decision:
        """Notes that the present step has been entered, and waits for its message."""
        input, local = parent_input(self.flow, self.state, self.info), self.state.levels[-1].local
        taken = self.input
        self.note("StepEntered", input=input, local=local)
        self.bound(input, local)
        self.bound(taken)
        self.note("StepStarted", input=taken)
        if isinstance(self.step, TaskStep):
            self.note("TaskScheduled", resourceArn=self.step.resource.arn, attempt=1)
        return self.goes_on(self.awaited())

    def enter_option(self, option: Option) -> Decision:
        """Takes a way out of the present choice."""
        if option.steps is None:
            return self.leave({}, option.goto)
        inner = Level(series=option.steps.path, step=0, local={})
        self.state = replace(self.state, levels=(*self.state.levels, inner))
        return self.enter(0)

    def leave(self, local: Json, goto: str | None = None) -> Decision:
        """Ends the present step with its local, and goes where the series says, or to `goto`."""
        step, level = self.step, self.state.levels[-1]
        self._leave_with(self._output(step, level, local))
        return self._go(goto)

    def leave_caught(self, output: JsonObject, goto: str) -> Decision:
        """Ends a task step that failed with what its error mappings say; its catch says where to go."""
        self._leave_with(output)
        return self._go(goto)

    def fail(self, error: str, cause: str) -> Decision:
        """The present step fails and nothing catches it: so does everything around it, the execution included."""
        names = [step_at(self.flow, level).name for level in reversed(self.state.levels)]
        names += [step.name for step in self._owners(self.state.levels[0].series)]
        detail: JsonObject = {"error": error, "cause": cause}
        self.history += [HistoryEvent("StepFailed", name, detail) for name in names]
        self.history.append(HistoryEvent("ExecutionFailed", "", detail))
        return Decision(tuple(self.history), outcome=Outcome(Status.FAILED, None, error, cause))

    def awaited(self, after: float = 0) -> Wake:
        """What the present step waits for when it is ready."""
        metadata = metadata_of(self.step, self.state.entry, self.state.attempt)
        if isinstance(self.step, TaskStep):
            return ScheduleCall(metadata, after, self.step.timeout_seconds)
        return ScheduleStep(metadata, after)

    def following(self) -> Step | None:
        """The step that is entered when the present one just ends; None if its frame ends with it."""
        goto: str | None = None
        for depth, level in reversed([*enumerate(self.state.levels)]):
            series = self.flow.series[level.series]
            following = _next_in(series, level.step) if goto is None else series.steps[series.position(goto)]
            if following is not None or depth == 0:
                return following
            above = self.state.levels[depth - 1]
            goto = _taken(step_at(self.flow, above), level).goto
        return None

    def bound(self, *values: Json) -> None:
        """Raises StepRefused if values take more than a step may hold."""
        size = size_of(*values)
        if size > self.limits.payload_bytes:
            raise StepRefused(
                "FnF.DataLimitExceeded",
                f"step {self.step.name!r} holds {size_text(size)} of data; limit: {self.limits.payload_bytes} bytes",
            )

    def _leave_with(self, output: JsonObject) -> None:
        level = self.state.levels[-1]
        level = replace(level, local={**level.local, **output})
        self.state = replace(self.state, levels=(*self.state.levels[:-1], level))
        self.note("StepExited", local=level.local)
        self.bound(level.local)

    def _output(self, step: Step, level: Level, local: Json) -> JsonObject:
        map_step = isinstance(step, ParallelStep | ForeachStep)
        if step.output_mappings is None:
            output: JsonObject = {} if map_step else local
            measured = (self.input, output, {} if map_step else local)
        else:
            taken = self.input
            context = context_object(step, level, self.info)
            output = map_values(step.output_mappings, {"input": taken, "local": local, "context": context})
            measured = (taken, output, {} if map_step else local)
        self.bound(*measured)
        self.note("StepSucceeded", output=output)
        return output

    def _go(self, goto: str | None) -> Decision:
        level, step = self.state.levels[-1], self.step
        series = self.flow.series[level.series]
        if goto is not None:
            return self.enter(series.position(goto))
        if not step.end and not isinstance(step, SucceedStep) and level.step + 1 < len(series.steps):
            return self.enter(level.step + 1)
        if len(self.state.levels) > 1:
            return self._leave_option(level)
        return self._end()

    def _leave_option(self, inner: Level) -> Decision:
        self.state = replace(self.state, levels=self.state.levels[:-1])
        return self.leave(inner.local, _taken(self.step, inner).goto)

    def _end(self) -> Decision:
        level = self.state.levels[0]
        if self.state.frame == ROOT:
            output = flow_output(self.flow, self.state, self.info)
            self.bound(output)
            self.history.append(HistoryEvent("ExecutionSucceeded", "", {"output": output}))
            return Decision(tuple(self.history), outcome=Outcome(Status.SUCCEEDED, output))
        owner = owner_of(self.flow, level.series)
        kind = "BranchExited" if isinstance(owner, ParallelStep) else "IterationExited"
        index = int(self.state.frame.rpartition(".")[2])
        self.history.append(HistoryEvent(kind, owner.name if owner else "", {"index": index, "local": level.local}))
        return Decision(tuple(self.history), outcome=Outcome(Status.SUCCEEDED, level.local))

    def _owners(self, series: str) -> list[Step]:
        owners = []
        while (owner := owner_of(self.flow, series)) is not None:
            owners.append(owner)
            series = owner.path.rpartition("[")[0]
        return owners


def _taken(choice: Step, inner: Level) -> Option:
    """The option whose steps the inner level is at."""
    if not isinstance(choice, ChoiceStep):
        raise TypeError(choice)
    options = [*choice.choices, *([choice.default] if choice.default else [])]
    return next(o for o in options if o.steps is not None and o.steps.path == inner.series)


def owner_of(flow: Flow, series: str) -> Step | None:
    """The step that a series belongs to; None for the flow's own."""
    match = _OWNER.match(series)
    return flow.series[match["series"]].steps[int(match["step"])] if match else None


def metadata_of(step: Step, entry: int, attempt: int = 1) -> MessageMetadata:
    """What a message for the step says of itself."""
    if isinstance(step, TaskStep) and step.pattern is Pattern.WAIT_FOR_CALLBACK:
        return MessageMetadata(step.type, step.name, attempt, entry, True, step.timeout_seconds)
    return MessageMetadata(step.type, step.name, attempt, entry)


def _next_in(series: Series, position: int) -> Step | None:
    step = series.steps[position]
    if step.end or position + 1 == len(series.steps):
        return None
    return series.steps[position + 1]
