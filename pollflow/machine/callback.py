"""Task tokens: opaque text that names one attempt of one waiting task and cannot be forged.

Base64 of `v2#FLOW#EXECUTION#FRAME#ENTRY#PATH#ATTEMPT#SIGNATURE`; the signature is an HMAC under the execution's own
secret. It contains the step's path because the same entry number may belong to another step after Redis has lost
recent writes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from pollflow.errors import InvalidTaskToken
from pollflow.machine.state import ExecutionInfo, FrameState

_LAYOUT = "v2"


@dataclass(frozen=True, slots=True)
class TaskTokenFields:
    """The fields of a task token. They are untrusted until `verify` has checked them."""

    flow_name: str
    execution_name: str
    frame: str
    entry: int
    step_path: str
    attempt: int
    signature: str


def task_token(info: ExecutionInfo, state: FrameState) -> str:
    """Return the task token of the current attempt."""
    plain = _plain(info.flow_name, info.execution_name, state.frame, state.entry, state.step_path, state.attempt)
    return base64.urlsafe_b64encode(f"{plain}#{_sign(info, plain)}".encode()).decode()


def read_task_token(token: str) -> TaskTokenFields:
    """Parse a task token. Raises InvalidTaskToken for any other text."""
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
        layout, flow_name, execution_name, frame, entry, step_path, attempt, signature = text.split("#")
        if layout != _LAYOUT:
            raise ValueError(layout)
        return TaskTokenFields(flow_name, execution_name, frame, int(entry), step_path, int(attempt), signature)
    except (ValueError, binascii.Error) as error:
        raise InvalidTaskToken("not a task token; pass the text of $context.task.token unchanged") from error


def verify(key: TaskTokenFields, info: ExecutionInfo) -> None:
    """Raise InvalidTaskToken unless the token carries the signature of the execution."""
    plain = _plain(key.flow_name, key.execution_name, key.frame, key.entry, key.step_path, key.attempt)
    if not hmac.compare_digest(_sign(info, plain), key.signature):
        raise InvalidTaskToken


def is_awaited(key: TaskTokenFields, state: FrameState) -> bool:
    """Whether the frame is still at that attempt. A report may arrive before the function that caused it returns."""
    return (state.entry, state.step_path, state.attempt) == (key.entry, key.step_path, key.attempt)


def is_to_come(key: TaskTokenFields, state: FrameState) -> bool:
    """Whether the frame may reach that attempt again, because Redis has lost recent writes."""
    if state.entry == key.entry:
        return state.step_path == key.step_path and state.attempt < key.attempt
    return state.entry < key.entry


def _plain(flow_name: str, execution_name: str, frame: str, entry: int, step_path: str, attempt: int) -> str:
    return f"{_LAYOUT}#{flow_name}#{execution_name}#{frame}#{entry}#{step_path}#{attempt}"


def _sign(info: ExecutionInfo, plain: str) -> str:
    digest = hmac.new(info.secret.encode(), f"{info.execution_id}#{plain}".encode(), hashlib.sha256)
    return digest.hexdigest()[:32]
