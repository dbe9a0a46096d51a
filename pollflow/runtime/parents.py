"""Steps that wait: which step a task token is for, and whether it still needs the sub-execution that it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from pollflow.errors import InvalidTaskToken
from pollflow.machine import ParentFrame, Status, TaskTokenFields, is_awaited, may_still_reach, read_task_token, verify
from pollflow.store import ExecutionRecord, ExecutionRef, ParentLink, Reading


def token_target(reading: Reading, token: str) -> tuple[TaskTokenFields, ExecutionRecord]:
    """Return the verified fields of a task token, and its execution. Raises InvalidTaskToken."""
    fields = read_task_token(token)
    try:
        execution = reading.execution(ExecutionRef(fields.flow_name, fields.execution_name))
    except LookupError as error:
        raise InvalidTaskToken("the execution that the task token names does not exist") from error
    verify(fields, execution.info)
    return fields, execution


def prefetched(reading: Reading, links: Sequence[ParentLink]) -> Reading:
    """Return a reader that has read the executions and frames of these steps in one round trip."""
    frames = []
    for link in links:
        try:
            fields = read_task_token(link.token)
        except InvalidTaskToken:
            continue
        frames.append((ExecutionRef(fields.flow_name, fields.execution_name), fields.frame))
    return reading.prefetched(frames)


class ChildDecision(Enum):
    """What a waiting step means for the sub-execution that it waits for."""

    STOP = "stop"
    """The step does not need it any more."""
    KEEP = "keep"
    """The step waits; or it has had its callback, and the sub-execution may run on."""
    CHECK_LATER = "check later"
    """The step's execution may reach the step again: Redis has lost the transitions that led to it."""


def child_decision(reading: Reading, parent_link: ParentLink) -> ChildDecision:
    """Decide whether the step that waits still needs the sub-execution."""
    # A step that waits for a callback may be over because it was reported.
    when_over = ChildDecision.STOP if parent_link.notify_on_success else ChildDecision.KEEP
    try:
        fields, execution = token_target(reading, parent_link.token)
    except InvalidTaskToken:
        return ChildDecision.STOP
    if execution.status.ended:
        return when_over if execution.status is Status.SUCCEEDED else ChildDecision.STOP
    record = reading.frame(execution.ref, fields.frame)
    if record is None:
        will_start = _will_start(reading, execution.ref, fields.frame)
        return ChildDecision.CHECK_LATER if will_start else when_over
    if is_awaited(fields, record.state):
        return ChildDecision.KEEP
    if may_still_reach(fields, record.state):
        return ChildDecision.CHECK_LATER
    return when_over if record.state.entry > fields.entry else ChildDecision.STOP


def _will_start(reading: Reading, ref: ExecutionRef, frame: str) -> bool:
    """Return whether a branch or iteration whose frame does not exist will still start."""
    parent = ParentFrame.of(frame)
    if parent is None:
        return False
    record = reading.frame(ref, parent.frame)
    if record is None:
        return _will_start(reading, ref, parent.frame)
    if record.state.entry != parent.entry:
        return record.state.entry < parent.entry
    return record.join is None or record.join.made <= parent.index
