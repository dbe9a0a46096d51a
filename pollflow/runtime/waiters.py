"""Who waits for the end of a sub-execution or for a report, and whether that step still does."""

from __future__ import annotations

from enum import Enum

from pollflow.errors import InvalidTaskToken
from pollflow.machine import ROOT, Status, TokenAddress, is_awaited, is_to_come, read_task_token, verify
from pollflow.store import ExecutionRecord, ExecutionRef, Reading, Waiter, parent_of


def asked(reading: Reading, token: str) -> tuple[TokenAddress, ExecutionRecord]:
    """What a task token is for, and its execution. Raises InvalidTaskToken for one that nobody was given."""
    address = read_task_token(token)
    try:
        execution = reading.execution(ExecutionRef(address.flow_name, address.execution_name))
    except LookupError as error:
        raise InvalidTaskToken("the execution that the token names does not exist") from error
    verify(address, execution.about)
    return address, execution


class Need(Enum):
    """Whether a step has a use for the sub-execution that it waits for."""

    NONE = "none"
    NOW = "now"
    """It waits; or it has had its callback, and lets the sub-execution run on."""
    LATER = "later"
    """Its execution may still come to it: Redis has forgotten that it was there."""


def need_of(reading: Reading, waiter: Waiter) -> Need:
    """Whether the step that waits still has a use for the sub-execution."""
    # What is over for a step that waits for a callback may be over because it was reported.
    when_over = Need.NONE if waiter.hears_success else Need.NOW
    try:
        address, execution = asked(reading, waiter.token)
    except InvalidTaskToken:
        return Need.NONE
    if execution.status.ended:
        return when_over if execution.status is Status.SUCCEEDED else Need.NONE
    record = reading.frame(execution.ref, address.frame)
    if record is None:
        return Need.LATER if _is_to_be_made(reading, execution.ref, address.frame) else when_over
    if is_awaited(address, record.state):
        return Need.NOW
    if is_to_come(address, record.state):
        return Need.LATER
    return when_over if record.state.entry > address.entry else Need.NONE


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
