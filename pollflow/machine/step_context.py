"""Move a frame: enter steps, leave steps, end series. Every rule moves a frame through this module only.

A StepContext lives for one decision. Its inputs and its result are immutable values.
"""

from __future__ import annotations

from dataclasses import replace

from pollflow.fdl.model import (
    ChoiceStep,
    Flow,
    Json,
    JsonObject,
    MapStep,
    Option,
    ParallelStep,
    Pattern,
    Step,
    StepPosition,
    TaskStep,
)
from pollflow.machine.data import (
    context_object,
    fill,
    flow_output,
    inputs_of,
    map_values,
    over_size,
    size_of,
    step_at,
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
from pollflow.machine.limits import MAX_CAUSE, MAX_ERROR, NO_LIMIT, Limits, shortened
from pollflow.machine.refused import StepRefused
from pollflow.machine.state import ExecutionInfo, FrameState, Level, Phase


class StepContext:
    """Move one frame from step to step for one decision. Raises StepRefused if data exceeds its limit."""

    def __init__(self, flow: Flow, state: FrameState, info: ExecutionInfo, limits: Limits) -> None:
        self.flow = flow
        self.state = state
        self.info = info
        self.limits = limits
        self.history: list[HistoryEvent] = []
        self._inputs: tuple[FrameState, tuple[JsonObject, JsonObject]] | None = None

    @property
    def step(self) -> Step:
        """The current step of the frame."""
        return step_at(self.flow, self.state.levels[-1])

    @property
    def input(self) -> JsonObject:
        """The input of the current step."""
        return self._known_inputs()[1]

    def _known_inputs(self) -> tuple[JsonObject, JsonObject]:
        """Return the parent's and the own input, which cost much if there are many mappings: once for each state."""
        if self._inputs is None or self._inputs[0] is not self.state:
            self._inputs = self.state, inputs_of(self.flow, self.state, self.info)
        return self._inputs[1]

    def record(self, type: str, /, *, by: str = "", **detail: Json) -> None:
        """Append an event about the current step, which `by` caused."""
        self.history.append(HistoryEvent(type, self.step.name, detail, by))

    def stay(self, wake: Wake, *, spawn: tuple[Decision, ...] = (), **changes: Json) -> Decision:
        """Stay in the current entry with these changes of the state; it continues as `wake` says."""
        if changes:
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
        return self.start_step()

    def start_step(self) -> Decision:
        """Record the entry of the current step, and wait for its message."""
        level = self.state.levels[-1]
        if StepPosition(level.series, level.step) in self.flow.looping:
            self.state = self.state.with_visit()
        input, own_input = self._known_inputs()
        local = self.state.levels[-1].local
        self.record("StepEntered", input=input, local=local)
        self.check_size(input, local)
        if self.step.input_mappings is not None:  # else it has nothing but these two
            self.check_size(own_input)
        self.record("StepStarted", input=own_input)
        if isinstance(self.step, TaskStep):
            fill(self.step.service_params, own_input)  # a step whose parameters are too large fails before its call
            self.record("TaskScheduled", resourceArn=self.step.resource.arn, attempt=1)
        return self.stay(self.wake())

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
        self._record_exit(self._output(step, level, local))
        return self._continue(goto)

    def leave_caught(self, output: JsonObject, goto: str) -> Decision:
        """End a failed task step with the output of its error mappings; continue at the goto of its catch."""
        self._record_exit(output)
        return self._continue(goto)

    def fail(self, error: str, cause: str) -> Decision:
        """Fail the current step, all steps around it and the execution. No catch applies."""
        names = [step_at(self.flow, level).name for level in reversed(self.state.levels)]
        names += [step.name for step in self._owners(self.state.levels[0].series)]
        error, cause = shortened(error, MAX_ERROR), shortened(cause, MAX_CAUSE)
        detail: JsonObject = {"error": error, "cause": cause}
        self.history += [HistoryEvent("StepFailed", name, detail) for name in names]
        self.history.append(HistoryEvent("ExecutionFailed", "", detail))
        return Decision(tuple(self.history), outcome=Outcome(Status.FAILED, None, error, cause))

    def wake(self, after: float = 0) -> Wake:
        """Return the wake that starts the current step, or its next attempt, after so many seconds."""
        metadata = self.metadata()
        if isinstance(self.step, TaskStep):
            return ScheduleCall(metadata, after, self.step.timeout_seconds)
        return ScheduleStep(metadata, after)

    def metadata(self) -> MessageMetadata:
        """Return the metadata of a message for the current step."""
        return _metadata_of(self.step, self.state.entry, self.state.visit, self.state.attempt)

    def next_metadata(self) -> MessageMetadata:
        """Return the metadata of a message for the step that is entered when the current one ends without a goto.

        If the frame ends with the current step, it is that of the current step, with the next entry's number.
        """
        goto: str | None = None
        for level in reversed(self.state.levels):
            series = self.flow.series[level.series]
            position = series.next_position(level.step, goto)
            if position is not None:
                return _metadata_of(series.steps[position], self.state.entry + 1, self._next_visit(level, position))
            goto = self._goto_after(level)
        return replace(self.metadata(), entry=self.state.entry + 1)

    def check_size(self, *values: Json) -> None:
        """Raise StepRefused if the values together exceed the payload limit."""
        if self.limits.payload_bytes == NO_LIMIT:
            return
        size = size_of(*values)
        if size > self.limits.payload_bytes:
            cause = over_size(f"the data of step {self.step.name!r}", size, self.limits.payload_bytes)
            raise StepRefused("FnF.DataLimitExceeded", cause)

    def _next_visit(self, level: Level, position: int) -> int:
        """Return the number of the visit that enters the step at a position of the level's series."""
        if StepPosition(level.series, position) not in self.flow.looping:
            return 1
        return replace(self.state, levels=(replace(level, step=position),)).with_visit().visit

    def _record_exit(self, output: JsonObject) -> None:
        level = self.state.levels[-1]
        level = replace(level, local={**level.local, **output})
        self.state = replace(self.state, levels=(*self.state.levels[:-1], level))
        self.record("StepExited", local=level.local)
        self.check_size(level.local)

    def _output(self, step: Step, level: Level, local: Json) -> JsonObject:
        # The local of a map step is a list, which is not an output and does not count towards the limit.
        own_input, own_local = self.input, {} if isinstance(step, MapStep) else local
        output: JsonObject = own_local
        if step.output_mappings is not None:
            context = context_object(step, level, self.info)
            output = map_values(step.output_mappings, {"input": own_input, "local": local, "context": context})
        self.check_size(own_input, output, own_local)
        self.record("StepSucceeded", output=output)
        return output

    def _continue(self, goto: str | None) -> Decision:
        level = self.state.levels[-1]
        position = self.flow.series[level.series].next_position(level.step, goto)
        if position is not None:
            return self.enter(position)
        if len(self.state.levels) == 1:
            return self._end_frame(level)
        self.state = replace(self.state, levels=self.state.levels[:-1])
        return self.leave(level.local, self._goto_after(level))

    def _goto_after(self, level: Level) -> str | None:
        """Return the goto of the choice option whose steps the level runs; None for any other series."""
        owner = self.flow.owner_of(level.series)
        if not isinstance(owner, ChoiceStep):
            return None
        options = (*owner.choices, owner.default)
        return next(o.goto for o in options if o and o.steps and o.steps.path == level.series)

    def _end_frame(self, level: Level) -> Decision:
        if self.state.parent is None:
            output = flow_output(self.flow, self.state, self.info)
            self.check_size(output)
            self.history.append(HistoryEvent("ExecutionSucceeded", "", {"output": output}))
            return Decision(tuple(self.history), outcome=Outcome(Status.SUCCEEDED, output))
        owner = self.flow.owner_of(level.series)
        kind = "BranchExited" if isinstance(owner, ParallelStep) else "IterationExited"
        detail: JsonObject = {"index": self.state.parent.index, "local": level.local}
        self.history.append(HistoryEvent(kind, owner.name if owner else "", detail))
        return Decision(tuple(self.history), outcome=Outcome(Status.SUCCEEDED, level.local))

    def _owners(self, series: str) -> list[Step]:
        owners = []
        while (owner := self.flow.series[series].owner) is not None:
            owners.append(self.flow.series[owner.series].steps[owner.position])
            series = owner.series
        return owners


def _metadata_of(step: Step, entry: int, visit: int, attempt: int = 1) -> MessageMetadata:
    metadata = MessageMetadata(step.type, step.name, attempt, entry, visit)
    if isinstance(step, TaskStep) and step.pattern is Pattern.WAIT_FOR_CALLBACK:
        return replace(metadata, is_callback=True, timeout=step.timeout_seconds)
    return metadata
