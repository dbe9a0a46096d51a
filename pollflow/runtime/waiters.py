"""Who waits for the end of a sub-execution or for a report, and whether that step still does."""

from __future__ import annotations

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


def wants(reading: Reading, waiter: Waiter) -> bool:
    """Whether a step still has a use for the sub-execution that it waits for.

    One that waits for a callback may have had it, and lets the sub-execution run on.
    """
    try:
        address, execution = asked(reading, waiter.token)
    except InvalidTaskToken:
        return False
    if execution.status.ended:
        return not waiter.hears_success and execution.status is Status.SUCCEEDED
    record = reading.frame(execution.ref, address.frame)
    if record is None:
        return not waiter.hears_success or _is_to_be_made(reading, execution.ref, address.frame)
    if is_awaited(address, record.state) or is_to_come(address, record.state):
        return True
    return not waiter.hears_success and record.state.entry > address.entry


def will_want(reading: Reading, waiter: Waiter) -> bool:
    """Whether an execution may still come to the step that waits: Redis has forgotten that it was there."""
    try:
        address, execution = asked(reading, waiter.token)
    except InvalidTaskToken:
        return False
    if execution.status.ended:
        return False
    record = reading.frame(execution.ref, address.frame)
    if record is None:
        return _is_to_be_made(reading, execution.ref, address.frame)
    return is_to_come(address, record.state)


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
