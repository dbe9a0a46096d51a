"""Move a frame: enter steps, leave steps, end series. Every rule moves a frame through this module only.

A StepContext lives for one decision. Its inputs and its result are immutable values.
"""

from __future__ import annotations

from dataclasses import replace

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
    StepPosition,
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
from pollflow.machine.limits import Limits
from pollflow.machine.state import ExecutionInfo, FrameState, Level, Phase


class StepRefused(Exception):
    """A step cannot continue. Holds an error name and a cause; no `catch` applies to it."""

    def __init__(self, error: str, cause: str) -> None:
        self.error = error
        self.cause = cause
        super().__init__(f"{error}: {cause}")


class StepContext:
    """Move one frame from step to step for one decision. Raises StepRefused where data would exceed its limit."""

    def __init__(self, flow: Flow, state: FrameState, info: ExecutionInfo, limits: Limits) -> None:
        self.flow = flow
        self.state = state
        self.info = info
        self.limits = limits
        self.history: list[HistoryEvent] = []

    @property
    def step(self) -> Step:
        """The current step of the frame."""
        return step_at(self.flow, self.state.levels[-1])

    @property
    def input(self) -> JsonObject:
        """The input of that step."""
        return step_input(self.flow, self.state, self.info)

    def note(self, type: str, **detail: Json) -> None:
        """Append an event about the current step."""
        self.history.append(HistoryEvent(type, self.step.name, detail))

    def goes_on(self, wake: Wake, *, spawn: tuple[Decision, ...] = (), **changes: Json) -> Decision:
        """Keep the entry with these changes; it continues when `wake` says."""
        self.state = replace(self.state, **changes)
        return Decision(tuple(self.history), state=self.state, wake=wake, spawn=spawn)

    def enter(self, position: int) -> Decision:
        """Enter a step of the current series."""
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
        """Record that the current step was entered, and wait for its message."""
        level = self.state.levels[-1]
        if StepPosition(level.series, level.step) in self.flow.looping:
            self.state = self.state.with_visit()
        input, local = parent_input(self.flow, self.state, self.info), self.state.levels[-1].local
        own_input = self.input
        self.note("StepEntered", input=input, local=local)
        self.bound(input, local)
        self.bound(own_input)
        self.note("StepStarted", input=own_input)
        if isinstance(self.step, TaskStep):
            self.note("TaskScheduled", resourceArn=self.step.resource.arn, attempt=1)
        return self.goes_on(self.awaited())

    def enter_option(self, option: Option) -> Decision:
        """Enter the steps of an option of the current choice, or leave by its goto."""
        if option.steps is None:
            return self.leave({}, option.goto)
        inner = Level(series=option.steps.path, step=0, local={})
        self.state = replace(self.state, levels=(*self.state.levels, inner))
        return self.enter(0)

    def leave(self, local: Json, goto: str | None = None) -> Decision:
        """End the current step with its local; continue at `goto`, or at the next step of the series."""
        step, level = self.step, self.state.levels[-1]
        self._leave_with(self._output(step, level, local))
        return self._go(goto)

    def leave_caught(self, output: JsonObject, goto: str) -> Decision:
        """End a failed task step with the output of its error mappings; continue at the goto of its catch."""
        self._leave_with(output)
        return self._go(goto)

    def fail(self, error: str, cause: str) -> Decision:
        """Fail the current step, all steps around it and the execution. No catch applies."""
        names = [step_at(self.flow, level).name for level in reversed(self.state.levels)]
        names += [step.name for step in self._owners(self.state.levels[0].series)]
        detail: JsonObject = {"error": error, "cause": cause}
        self.history += [HistoryEvent("StepFailed", name, detail) for name in names]
        self.history.append(HistoryEvent("ExecutionFailed", "", detail))
        return Decision(tuple(self.history), outcome=Outcome(Status.FAILED, None, error, cause))

    def awaited(self, after: float = 0) -> Wake:
        """Return the wake that starts the current step."""
        metadata = metadata_of(self.step, self.state.entry, self.state.attempt)
        if isinstance(self.step, TaskStep):
            return ScheduleCall(metadata, after, self.step.timeout_seconds)
        return ScheduleStep(metadata, after)

    def following(self) -> Step | None:
        """Return the step that is entered when the current one ends without a goto; None if its frame ends with it."""
        goto: str | None = None
        for level in reversed(self.state.levels):
            series = self.flow.series[level.series]
            position = _next_position(series, level.step, goto)
            if position is not None:
                return series.steps[position]
            goto = self._goto_after(level)
        return None

    def bound(self, *values: Json) -> None:
        """Raise StepRefused if the values together exceed the payload limit."""
        size = size_of(*values)
        if size > self.limits.payload_bytes:
            limit = f"{self.limits.payload_bytes} bytes are allowed"
            cause = f"step {self.step.name!r} holds {size_text(size)} of data; {limit}"
            raise StepRefused("FnF.DataLimitExceeded", cause)

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
            own_input = self.input
            context = context_object(step, level, self.info)
            output = map_values(step.output_mappings, {"input": own_input, "local": local, "context": context})
            measured = (own_input, output, {} if map_step else local)
        self.bound(*measured)
        self.note("StepSucceeded", output=output)
        return output

    def _go(self, goto: str | None) -> Decision:
        level = self.state.levels[-1]
        position = _next_position(self.flow.series[level.series], level.step, goto)
        if position is not None:
            return self.enter(position)
        if len(self.state.levels) == 1:
            return self._end(level)
        self.state = replace(self.state, levels=self.state.levels[:-1])
        return self.leave(level.local, self._goto_after(level))

    def _goto_after(self, level: Level) -> str | None:
        """Return the goto of the choice option whose steps the level runs; None for any other series."""
        owner = self.flow.owner_of(level.series)
        if not isinstance(owner, ChoiceStep):
            return None
        options = (*owner.choices, owner.default)
        return next(o.goto for o in options if o and o.steps and o.steps.path == level.series)

    def _end(self, level: Level) -> Decision:
        if self.state.parent is None:
            output = flow_output(self.flow, self.state, self.info)
            self.bound(output)
            self.history.append(HistoryEvent("ExecutionSucceeded", "", {"output": output}))
            return Decision(tuple(self.history), outcome=Outcome(Status.SUCCEEDED, output))
        owner = self.flow.owner_of(level.series)
        kind = "BranchExited" if isinstance(owner, ParallelStep) else "IterationExited"
        detail: JsonObject = {"index": self.state.parent.index, "local": level.local}
        self.history.append(HistoryEvent(kind, owner.name if owner else "", detail))
        return Decision(tuple(self.history), outcome=Outcome(Status.SUCCEEDED, level.local))

    def _owners(self, series: str) -> list[Step]:
        owners = []
        while (place := self.flow.series[series].owner) is not None:
            owners.append(self.flow.series[place.series].steps[place.position])
            series = place.series
        return owners


def metadata_of(step: Step, entry: int, attempt: int = 1) -> MessageMetadata:
    """Return the metadata of a message for the step."""
    if isinstance(step, TaskStep) and step.pattern is Pattern.WAIT_FOR_CALLBACK:
        return MessageMetadata(step.type, step.name, attempt, entry, True, step.timeout_seconds)
    return MessageMetadata(step.type, step.name, attempt, entry)


def _next_position(series: Series, position: int, goto: str | None) -> int | None:
    """Return the position entered after the step at `position`; None if the series ends there. A goto comes first."""
    if goto is not None:
        return series.position(goto)
    step = series.steps[position]
    if step.end or isinstance(step, SucceedStep) or position + 1 == len(series.steps):
        return None
    return position + 1
