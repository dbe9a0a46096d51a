"""Step messages in the wire form of Celery (protocol 2) on Redis: text that a Lua script may put on a queue.

The message says what Flower shows, and nothing secret: step type, flow and step are its name as shown; flow, execution,
step, visit and attempt are its arguments as shown; the execution is its root, the step before its parent.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from datetime import datetime, timedelta, timezone
from typing import Any

from pollflow.errors import InvalidArgument
from pollflow.machine import ParentFrame
from pollflow.printable import clean
from pollflow.runtime.carried import CARRIED
from pollflow.store import EncodedMessage, ExecutionKey, ExecutionRef, Message, MessageKey

TASK_PREFIX = "pollflow."
SENT_AT = "pollflow_sent_at"
"""The header with the publishing time by Redis' clock: the sweep uses it to tell a lost message from a queued one."""
CALLBACK = "pollflow_callback"
"""The header of a step that waits for a callback: the timeout of an attempt in seconds, 0 for none; else null."""

_EARLY_MARGIN_SECONDS = 0.005
_MARK = "\x00sent\x00"
_MARK_AS_JSON = json.dumps(_MARK)
# `json.dumps` makes an encoder at each call with options.
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_MAX_TEXT = 4096
"""The longest text in a message, which may be forged."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MAX_NUMBER = 2**53


def task_name(message: Message) -> str:
    """Return the name of the Celery task that carries the message."""
    return TASK_PREFIX + message.metadata.type


def task_id(message: Message) -> str:
    """Return the id of the Celery task: that of the entry and attempt, and for a later message what tells it apart.

    Workers remember revoked ids for hours, so a message that replaces a lost one must not have its id.
    """
    key, metadata = message.key, message.metadata
    entry = _entry_id(key.execution.id, key.frame, metadata.entry, metadata.attempt)
    return f"{entry}~{message.delivery}" if message.delivery else entry


def parent_id(message: Message) -> str | None:
    """Return the id of the Celery task before this one.

    It is the first message of the step before in the frame; for a retry, of the attempt before; for a child's first
    step, of the map step; for a redelivery, of the same attempt.
    """
    key, metadata = message.key, message.metadata
    if message.delivery:
        return _entry_id(key.execution.id, key.frame, metadata.entry, metadata.attempt)
    if metadata.attempt > 1:
        return _entry_id(key.execution.id, key.frame, metadata.entry, metadata.attempt - 1)
    if metadata.entry > 1:
        return _entry_id(key.execution.id, key.frame, metadata.before or metadata.entry - 1, 1)
    parent = ParentFrame.of(key.frame)
    return None if parent is None else _entry_id(key.execution.id, parent.frame, parent.entry, 1)


def _entry_id(execution_id: str, frame: str, entry: int, attempt: int) -> str:
    name = f"{execution_id}-{frame}.{entry}"
    return name if attempt == 1 else f"{name}-{attempt}"


def shown_name(message: Message) -> str:
    """Return the name of the Celery task as Flower and the worker's log show it: they show no arguments by default.

    It has no execution, since Flower counts tasks by this name.
    """
    return clean(f"{task_name(message)} {message.key.ref.flow}/{message.metadata.step}")


def args_of(message: Message) -> list[str | int]:
    """Return the arguments of the Celery task."""
    key, execution = message.key, message.key.execution
    return [execution.ref.flow, execution.ref.name, execution.id, execution.incarnation, key.frame, key.token]


def shown_args(message: Message) -> str:
    """Return the arguments as Flower shows them."""
    ref, metadata = message.key.ref, message.metadata
    return repr((ref.flow, ref.name, metadata.step, f"visit {metadata.visit}", f"attempt {metadata.attempt}"))


def callback_of(message: Message) -> float | None:
    """Return the value of the header CALLBACK."""
    return (message.metadata.timeout or 0) if message.metadata.is_callback else None


def key_of(args: Any) -> MessageKey:
    """Return the message key that `args_of` wrote. Raises InvalidArgument for anything else."""
    match args:
        case [str(flow), str(name), str(id), int(incarnation), str(frame), str(token)]:
            texts = (flow, name, id, frame, token)
            is_number = not isinstance(incarnation, bool) and 0 <= incarnation <= _MAX_NUMBER
            if is_number and all(text and is_short_line(text) for text in texts):
                return MessageKey(ExecutionKey(ExecutionRef(flow, name), id, incarnation), frame, token)
    raise InvalidArgument("a step task takes flow, execution, id, incarnation, frame and token")


def is_short_line(text: str) -> bool:
    """Return whether the text has at most 4096 characters, and none that ends a line or controls a terminal."""
    return len(text) <= _MAX_TEXT and not _CONTROL.search(text)


def eta_of(message: Message) -> datetime | None:
    """Return when a worker may start the message, by the clock of this process, or None for at once."""
    if message.at is not None:
        return datetime.fromtimestamp(message.at + _EARLY_MARGIN_SECONDS, timezone.utc)
    if message.countdown <= 0:
        return None
    return datetime.now(timezone.utc) + timedelta(seconds=message.countdown + _EARLY_MARGIN_SECONDS)


def encode(message: Message, *, queue: str, list_key: str, carried: str | None = None) -> EncodedMessage:
    """Encode a message for the list `list_key` of the queue `queue`, with a delivery tag of its own.

    `carried` is the value of the header CARRIED.
    """
    identity, eta = task_id(message), eta_of(message)
    wire = {
        # Plain JSON instead of base64: a third shorter, and kombu takes it as it is.
        "body": _ENCODER.encode(
            [args_of(message), {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
        ),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {**_headers(message, identity, eta), **({CARRIED: carried} if carried else {})},
        "properties": {
            "correlation_id": identity,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "delivery_tag": secrets.token_hex(16),
        },
    }
    head, tail = _ENCODER.encode(wire).split(_MARK_AS_JSON)
    return EncodedMessage(list_key, head, tail)


def _headers(message: Message, identity: str, eta: datetime | None) -> dict[str, Any]:
    return {
        "lang": "py",
        "task": task_name(message),
        "id": identity,
        "shadow": shown_name(message),
        "eta": None if eta is None else eta.isoformat(),
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": message.key.execution.id,
        "parent_id": parent_id(message),
        "argsrepr": shown_args(message),
        "kwargsrepr": "{}",
        "origin": "pollflow",
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
        CALLBACK: callback_of(message),
        SENT_AT: _MARK,
    }


def sent_at(text: str) -> float | None:
    """Return when a queued message was published, by Redis' clock; None for a message of another task."""
    if SENT_AT not in text:
        return None
    try:
        value = json.loads(text)["headers"].get(SENT_AT)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return value if isinstance(value, float | int) and math.isfinite(value) else None
