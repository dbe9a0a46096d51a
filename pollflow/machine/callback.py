"""Task tokens: opaque text that names one attempt of one waiting task and cannot be forged.

Base64 of `v2#FLOW#EXECUTION#FRAME#ENTRY#PLACE#ATTEMPT#SIGNATURE`; the signature is an HMAC under the execution's own
secret. The step's place in the flow is in it, since after Redis has gone back in time the same entry may be of another.
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
    """What a task token says it is for. Nothing of it is to be believed before `verify`."""

    flow_name: str
    execution_name: str
    frame: str
    entry: int
    step_path: str
    attempt: int
    signature: str


def task_token(info: ExecutionInfo, state: FrameState) -> str:
    """The token of the present attempt."""
    plain = _plain(info.flow_name, info.execution_name, state.frame, state.entry, state.step_path, state.attempt)
    return base64.urlsafe_b64encode(f"{plain}#{_sign(info, plain)}".encode()).decode()


def read_task_token(token: str) -> TaskTokenFields:
    """Takes a token apart. Raises InvalidTaskToken for what was never one."""
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
        layout, flow_name, execution_name, frame, entry, step_path, attempt, signature = text.split("#")
        if layout != _LAYOUT:
            raise ValueError(layout)
        return TaskTokenFields(flow_name, execution_name, frame, int(entry), step_path, int(attempt), signature)
    except (ValueError, binascii.Error) as error:
        raise InvalidTaskToken("this is no task token") from error


def verify(key: TaskTokenFields, info: ExecutionInfo) -> None:
    """Raises InvalidTaskToken unless the execution itself has signed the token."""
    plain = _plain(key.flow_name, key.execution_name, key.frame, key.entry, key.step_path, key.attempt)
    if not hmac.compare_digest(_sign(info, plain), key.signature):
        raise InvalidTaskToken


def is_awaited(key: TaskTokenFields, state: FrameState) -> bool:
    """Whether the frame is still at that attempt. A report may come before the call that caused it has returned."""
    return (state.entry, state.step_path, state.attempt) == (key.entry, key.step_path, key.attempt)


def is_to_come(key: TaskTokenFields, state: FrameState) -> bool:
    """Whether the frame may still come to that attempt: Redis has forgotten that it was there."""
    if state.entry == key.entry:
        return state.step_path == key.step_path and state.attempt < key.attempt
    return state.entry < key.entry


def _plain(flow_name: str, execution_name: str, frame: str, entry: int, step_path: str, attempt: int) -> str:
    return f"{_LAYOUT}#{flow_name}#{execution_name}#{frame}#{entry}#{step_path}#{attempt}"


def _sign(info: ExecutionInfo, plain: str) -> str:
    digest = hmac.new(info.secret.encode(), f"{info.execution_id}#{plain}".encode(), hashlib.sha256)
    return digest.hexdigest()[:32]
