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
from pollflow.machine.state import About, FrameState

_LAYOUT = "v2"


@dataclass(frozen=True, slots=True)
class TokenAddress:
    """What a task token says it is for. Nothing of it is to be believed before `verify`."""

    flow_name: str
    execution_name: str
    frame: str
    entry: int
    place: str
    attempt: int
    signature: str


def task_token(about: About, state: FrameState) -> str:
    """The token of the present attempt."""
    plain = _plain(about.flow_name, about.execution_name, state.frame, state.entry, state.place, state.attempt)
    return base64.urlsafe_b64encode(f"{plain}#{_sign(about, plain)}".encode()).decode()


def read_task_token(token: str) -> TokenAddress:
    """Takes a token apart. Raises InvalidTaskToken for what was never one."""
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
        layout, flow_name, execution_name, frame, entry, place, attempt, signature = text.split("#")
        if layout != _LAYOUT:
            raise ValueError(layout)
        return TokenAddress(flow_name, execution_name, frame, int(entry), place, int(attempt), signature)
    except (ValueError, binascii.Error) as error:
        raise InvalidTaskToken("this is no task token") from error


def verify(address: TokenAddress, about: About) -> None:
    """Raises InvalidTaskToken unless the execution itself has signed the token."""
    plain = _plain(
        address.flow_name, address.execution_name, address.frame, address.entry, address.place, address.attempt
    )
    if not hmac.compare_digest(_sign(about, plain), address.signature):
        raise InvalidTaskToken


def is_awaited(address: TokenAddress, state: FrameState) -> bool:
    """Whether the frame is still at that attempt. A report may come before the call that caused it has returned."""
    return (state.entry, state.place, state.attempt) == (address.entry, address.place, address.attempt)


def is_to_come(address: TokenAddress, state: FrameState) -> bool:
    """Whether the frame may still come to that attempt: Redis has forgotten that it was there."""
    if state.entry == address.entry:
        return state.place == address.place and state.attempt < address.attempt
    return state.entry < address.entry


def _plain(flow_name: str, execution_name: str, frame: str, entry: int, place: str, attempt: int) -> str:
    return f"{_LAYOUT}#{flow_name}#{execution_name}#{frame}#{entry}#{place}#{attempt}"


def _sign(about: About, plain: str) -> str:
    digest = hmac.new(about.secret.encode(), f"{about.execution_id}#{plain}".encode(), hashlib.sha256)
    return digest.hexdigest()[:32]
