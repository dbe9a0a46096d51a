"""Task tokens: opaque text that names one attempt of one waiting task and cannot be forged.

Base64 of `v3#FLOW#EXECUTION#ID#INCARNATION#FRAME#ENTRY#STEP_PATH#ATTEMPT#SIGNATURE`. The signature is an HMAC under the
execution's own secret. The token includes the path of the step: after Redis lost writes, the same entry number may
belong to another step.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from pollflow.errors import InvalidTaskToken
from pollflow.machine.state import ExecutionInfo, FrameState

_LAYOUT = "v3"


@dataclass(frozen=True, slots=True)
class TaskTokenFields:
    """The fields of a task token. They are not trusted before `verify`."""

    flow_name: str
    execution_name: str
    execution_id: str
    incarnation: int
    frame: str
    entry: int
    step_path: str
    attempt: int
    signature: str = ""

    @classmethod
    def of(cls, info: ExecutionInfo, state: FrameState) -> TaskTokenFields:
        """Return the unsigned fields for the current attempt."""
        return cls(
            info.flow_name,
            info.execution_name,
            info.execution_id,
            info.incarnation,
            state.frame,
            state.entry,
            state.step_path,
            state.attempt,
        )

    def text(self) -> str:
        """Return the text that is signed."""
        execution = f"{self.flow_name}#{self.execution_name}#{self.execution_id}#{self.incarnation}"
        return f"{_LAYOUT}#{execution}#{self.frame}#{self.entry}#{self.step_path}#{self.attempt}"


def task_token(info: ExecutionInfo, state: FrameState) -> str:
    """Return the task token of the current attempt."""
    text = TaskTokenFields.of(info, state).text()
    return base64.urlsafe_b64encode(f"{text}#{_signature(info, text)}".encode()).decode()


def read_task_token(token: str) -> TaskTokenFields:
    """Return the fields of a task token. Raises InvalidTaskToken for any other text."""
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
        layout, flow, execution, id, incarnation, frame, entry, step_path, attempt, signature = text.split("#")
        if layout != _LAYOUT:
            raise ValueError(layout)
        return TaskTokenFields(
            flow, execution, id, int(incarnation), frame, int(entry), step_path, int(attempt), signature
        )
    except (ValueError, binascii.Error) as error:
        raise InvalidTaskToken("this is not a task token") from error


def verify(fields: TaskTokenFields, info: ExecutionInfo) -> None:
    """Raise InvalidTaskToken unless the execution signed the token in its current incarnation."""
    is_same = (fields.execution_id, fields.incarnation) == (info.execution_id, info.incarnation)
    if not is_same or not hmac.compare_digest(_signature(info, fields.text()).encode(), fields.signature.encode()):
        raise InvalidTaskToken


def is_awaited(fields: TaskTokenFields, state: FrameState) -> bool:
    """Return whether the frame is at that attempt. A report may arrive before its call returns."""
    return (state.entry, state.step_path, state.attempt) == (fields.entry, fields.step_path, fields.attempt)


def may_still_reach(fields: TaskTokenFields, state: FrameState) -> bool:
    """Return whether the frame may still reach that attempt, which it had reached before Redis lost writes."""
    if state.entry == fields.entry:
        return state.step_path == fields.step_path and state.attempt < fields.attempt
    return state.entry < fields.entry


def _signature(info: ExecutionInfo, text: str) -> str:
    return hmac.new(info.secret.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]
