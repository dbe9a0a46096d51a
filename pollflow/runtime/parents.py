"""Who waits for the end of a sub-execution or for a report, and whether that step still does."""

from __future__ import annotations

from enum import Enum

from pollflow.errors import InvalidTaskToken
from pollflow.machine import ROOT, Status, TaskTokenFields, is_awaited, is_to_come, read_task_token, verify
from pollflow.store import ExecutionRecord, ExecutionRef, ParentLink, Reading, parent_of


def asked(reading: Reading, token: str) -> tuple[TaskTokenFields, ExecutionRecord]:
    """What a task token is for, and its execution. Raises InvalidTaskToken for one that nobody was given."""
    key = read_task_token(token)
    try:
        execution = reading.execution(ExecutionRef(key.flow_name, key.execution_name))
    except LookupError as error:
        raise InvalidTaskToken("the execution that the token names does not exist") from error
    verify(key, execution.info)
    return key, execution


class OrphanDecision(Enum):
    """Whether a step has a use for the sub-execution that it waits for."""

    NONE = "none"
    NOW = "now"
    """It waits; or it has had its callback, and lets the sub-execution run on."""
    LATER = "later"
    """Its execution may still come to it: Redis has forgotten that it was there."""


def orphan_decision(reading: Reading, parent_link: ParentLink) -> OrphanDecision:
    """Whether the step that waits still has a use for the sub-execution."""
    # What is over for a step that waits for a callback may be over because it was reported.
    when_over = OrphanDecision.NONE if parent_link.notify_on_success else OrphanDecision.NOW
    try:
        key, execution = asked(reading, parent_link.token)
    except InvalidTaskToken:
        return OrphanDecision.NONE
    if execution.status.ended:
        return when_over if execution.status is Status.SUCCEEDED else OrphanDecision.NONE
    record = reading.frame(execution.ref, key.frame)
    if record is None:
        return OrphanDecision.LATER if _is_to_be_made(reading, execution.ref, key.frame) else when_over
    if is_awaited(key, record.state):
        return OrphanDecision.NOW
    if is_to_come(key, record.state):
        return OrphanDecision.LATER
    return when_over if record.state.entry > key.entry else OrphanDecision.NONE


def _is_to_be_made(reading: Reading, ref: ExecutionRef, frame: str) -> bool:
    """Whether a frame that is not there, of a branch or an iteration, will still be made."""
    if frame == ROOT:
        return False
    parent, entry, index = parent_of(frame)
    record = reading.frame(ref, parent)
    if record is None:
        return _is_to_be_made(reading, ref, parent)
    if record.state.entry != entry:
        return record.state.entry < entry
    return record.join is None or record.join.made <= index
