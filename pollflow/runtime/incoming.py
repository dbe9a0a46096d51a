"""Checks of messages before Celery handles them: a forged one is acknowledged, and logged in one line.

A process that can write to the broker can send any JSON as a message of pollflow's tasks. Celery trusts the form of
messages: some forms end its worker, others print a traceback for each message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from celery.worker.strategy import default as celery_strategy

from pollflow.errors import InvalidArgument
from pollflow.runtime.carried import CARRIED
from pollflow.runtime.messages import TASK_PREFIX, is_short_line, key_of

STRATEGY = f"{__name__}:checked"
"""The name of `checked`, for the documented option `Strategy` of a Celery task."""
SWEEP_TASK = TASK_PREFIX + "sweep"
_JSON = "application/json"
_MAX_NUMBER = 1e15
_FIRST_YEAR, _LAST_YEAR = 1970, 2999
_TEXTS = (CARRIED, "root_id", "parent_id", "group", "shadow", "origin", "argsrepr", "kwargsrepr", "lang")
_LINKS = ("callbacks", "errbacks", "chain", "chord")

logger = logging.getLogger("pollflow")


class Forged(Exception):
    """A message that pollflow does not send. The text is constant: it has nothing of the message."""


def checked(task: Any, app: Any, consumer: Any, **options: Any) -> Callable[..., Any]:
    """Return the handler of a task's messages in the worker's main process: Celery's own, behind the checks."""
    handle = celery_strategy(task, app, consumer, **options)

    def handle_checked(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **further: Any) -> Any:
        try:
            check(task.name, message, body)
        except Forged as error:
            logger.warning("ignored a message of %s that pollflow does not send: %s", task.name, error)
            ack(logger, consumer.connection_errors)
            return None
        return handle(message, body, ack, reject, callbacks, **further)

    return handle_checked


def check(name: str, message: Any, body: Any) -> None:
    """Raise Forged unless the message has the form of those of pollflow's task `name`.

    `body` is that of protocol 1, else None.
    """
    is_sweep = name == SWEEP_TASK
    if not is_sweep and message.content_type != _JSON:
        raise Forged("its body is not JSON")
    args, kwargs, links = _parts(message.headers if body is None else body, _payload(message) if body is None else body)
    if args and is_sweep:
        raise Forged("the sweep takes no arguments")
    if kwargs:
        raise Forged("it has keyword arguments")
    if any(links.get(name) for name in _LINKS):
        raise Forged("it has callbacks")
    if not is_sweep:
        try:
            key_of(args)
        except InvalidArgument as error:
            raise Forged(str(error)) from error


def _payload(message: Any) -> Any:
    try:
        return message.payload
    except Exception as error:  # any error of a decoder or decompressor
        raise Forged("its body cannot be decoded") from error


def _parts(fields: Any, payload: Any) -> tuple[Any, Any, Mapping[str, Any]]:
    """Return the arguments, the keyword arguments and the fields that may link further tasks."""
    if not isinstance(fields, Mapping):
        raise Forged("its headers are no object")
    _check_headers(fields)
    if payload is fields:  # protocol 1
        args, kwargs, links = payload.get("args") or [], payload.get("kwargs") or {}, payload
    elif isinstance(payload, list | tuple) and len(payload) == 3:
        args, kwargs, links = payload
    else:
        raise Forged("its body is not that of a task")
    if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping) or not isinstance(links, Mapping | None):
        raise Forged("its body is not that of a task")
    return args, kwargs, links or {}


def _check_headers(headers: Mapping[str, Any]) -> None:
    """Check the headers that Celery reads, and prints in its own lines."""
    if not _is_text(headers.get("id")):
        raise Forged("it has no id")
    if not all(headers.get(name) is None or _is_text(headers[name]) for name in _TEXTS):
        raise Forged("a header is not a short text")
    if not all(_is_time(headers.get(name)) for name in ("eta", "expires")):
        raise Forged("its time is none")
    limits = headers.get("timelimit") or (None, None)
    if not isinstance(limits, list | tuple) or len(limits) != 2 or not all(map(_is_count, limits)):
        raise Forged("its time limits are none")
    if not all(_is_count(headers.get(name)) for name in ("retries", "replaced_task_nesting", "group_index")):
        raise Forged("a header is not a number")
    if not isinstance(headers.get("stamps"), Mapping | None) or not isinstance(
        headers.get("stamped_headers"), list | tuple | None
    ):
        raise Forged("its stamps are none")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and is_short_line(value)


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and 0 <= value < _MAX_NUMBER)


def _is_time(value: object) -> bool:
    if value is None:
        return True
    try:
        time = datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else None
    except ValueError:
        return False
    return time is not None and _FIRST_YEAR < time.year < _LAST_YEAR
