"""Step messages in the wire form of Celery (protocol 2) on Redis: text that a Lua script may put on a queue.

The message says what Flower shows, and nothing secret: the step type is the task's name; flow, execution, step and
attempt are its arguments as shown; the execution is its root, the step before its parent.
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from pollflow.errors import InvalidArgument
from pollflow.store import Address, Envelope, ExecutionRef, Letter

TASK_PREFIX = "pollflow."
SENT_AT = "pollflow_sent_at"
"""The header with the moment of sending by Redis' clock: it tells the sweep a lost message from a queued one."""
CALLBACK = "pollflow_callback"
"""The header of a step that waits for a callback: the seconds that an attempt may take, 0 for any; else null."""

_EARLY_MARGIN_SECONDS = 0.005
_MARK = "\x00sent\x00"


def task_name(letter: Letter) -> str:
    """The Celery task that carries the letter."""
    return TASK_PREFIX + letter.hint.type


def task_id(letter: Letter) -> str:
    """The Celery task's id: the same for a redelivery, so that Flower shows one row."""
    return _entry_id(letter.execution_id, letter.address.frame, letter.hint.entry, letter.hint.attempt)


def parent_id(letter: Letter) -> str | None:
    """The id of the Celery task of the step before in the frame; of a child's first step, that of the control step."""
    if letter.hint.attempt > 1:
        return _entry_id(letter.execution_id, letter.address.frame, letter.hint.entry, letter.hint.attempt - 1)
    if letter.hint.entry > 1:
        return _entry_id(letter.execution_id, letter.address.frame, letter.hint.entry - 1, 1)
    above = letter.address.frame.rpartition(".")[0]
    return f"{letter.execution_id}-{above}" if above else None


def _entry_id(execution_id: str, frame: str, entry: int, attempt: int) -> str:
    name = f"{execution_id}-{frame}.{entry}"
    return name if attempt == 1 else f"{name}-{attempt}"


def args_of(letter: Letter) -> list[str]:
    """The arguments of the Celery task."""
    address = letter.address
    return [address.ref.flow, address.ref.name, address.frame, address.token]


def shown_args(letter: Letter) -> str:
    """The arguments as Flower shows them."""
    ref = letter.address.ref
    return repr((ref.flow, ref.name, letter.hint.step, f"try {letter.hint.attempt}"))


def callback_of(letter: Letter) -> float | None:
    """The value of the header CALLBACK."""
    return (letter.hint.timeout or 0) if letter.hint.is_callback else None


def address_of(args: Any) -> Address:
    """The address that `args_of` wrote. Raises InvalidArgument for anything else."""
    if not isinstance(args, list | tuple) or len(args) != 4 or not all(isinstance(arg, str) for arg in args):
        raise InvalidArgument("a step task takes flow, execution, frame and token")
    flow, name, frame, token = args
    return Address(ExecutionRef(flow, name), frame, token)


def eta_of(letter: Letter) -> datetime | None:
    """When a worker is to try the letter. By the clock of this process, which the worker's own is compared with."""
    if letter.at is not None:
        return datetime.fromtimestamp(letter.at + _EARLY_MARGIN_SECONDS, timezone.utc)
    if letter.countdown <= 0:
        return None
    return datetime.now(timezone.utc) + timedelta(seconds=letter.countdown + _EARLY_MARGIN_SECONDS)


def envelope(letter: Letter, *, queue: str, list_key: str) -> Envelope:
    """The letter for the list `list_key` of the queue `queue`. Every envelope has a delivery tag of its own."""
    identity, eta = task_id(letter), eta_of(letter)
    message = {
        # Plain JSON instead of base64: a third shorter, and kombu takes it as it is.
        "body": json.dumps(
            [args_of(letter), {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}],
            separators=(",", ":"),
        ),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task_name(letter),
            "id": identity,
            "shadow": None,
            "eta": None if eta is None else eta.isoformat(),
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": letter.execution_id,
            "parent_id": parent_id(letter),
            "argsrepr": shown_args(letter),
            "kwargsrepr": "{}",
            "origin": "pollflow",
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
            CALLBACK: callback_of(letter),
            SENT_AT: _MARK,
        },
        "properties": {
            "correlation_id": identity,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    head, tail = json.dumps(message, separators=(",", ":")).split(json.dumps(_MARK))
    return Envelope(list_key, head, tail)


def sent_at(text: str) -> float | None:
    """The moment of sending that a queued message bears; None for a message that is not ours."""
    try:
        value = json.loads(text)["headers"].get(SENT_AT)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return value if isinstance(value, float | int) else None
