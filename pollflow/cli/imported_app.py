"""What a command knows of an app that another process has imported. It checks all that the process says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from pollflow.cli.app_process import AppFailed, AppProcess
from pollflow.errors import ConfigurationError, InvalidArgument
from pollflow.machine import Raised
from pollflow.machine.limits import MAX_CAUSE, MAX_ERROR, shortened
from pollflow.runtime.callables import check_name
from pollflow.runtime.causes import RaisedElsewhere
from pollflow.runtime.functions import Context
from pollflow.runtime.masking import Mask
from pollflow.testing.replies import NoReply

_MAX_ITEMS = 100_000
"""The most functions of an app."""
_MAX_LIMIT = 1 << 53
"""Limits are compared with floats, to which larger numbers need not convert."""


@dataclass(frozen=True, slots=True)
class ImportedApp:
    """An app in its process: the names of its functions, the settings that limit flows, its mask, and calls."""

    functions: tuple[str, ...]
    max_events: int
    max_wait: float
    max_definition_bytes: int
    mask: Mask
    process: AppProcess

    def callables(self) -> Mapping[str, Callable[[Any, Context], Any]]:
        """Return for each name a function that calls the app's function in its process."""
        return {name: _caller(self.process, name) for name in self.functions}


def read(process: AppProcess) -> ImportedApp:
    """Return the facts that the process sends. Raises AppFailed if they are not what an app can have."""
    found = process.answer()
    try:
        names = [check_name(name) for name in _list(found["functions"])]
        limits = {name: _limit(found[name]) for name in ("max_events", "max_wait", "max_definition_bytes")}
        mask = Mask.of(map(_text, _list(found["mask"])))
        return ImportedApp(tuple(names), **limits, mask=mask, process=process)
    except (KeyError, InvalidArgument, ConfigurationError) as error:
        process.fail(f"sent facts that cannot be used: {error}")


def _caller(process: AppProcess, name: str) -> Callable[[Any, Context], Any]:
    def call(input: Any, context: Context) -> Any:
        try:
            return _result(process, process.answer(call=name, input=input, context=_fields_of(context)))
        except AppFailed as error:
            raise NoReply(f"{name} was called: {error}") from None

    return call


def _fields_of(context: Context) -> dict[str, Any]:
    values = {field.name: getattr(context, field.name) for field in fields(context) if field.name != "logger"}
    return {**values, "deadline": context.deadline and context.deadline.isoformat()}


def _result(process: AppProcess, answer: dict[str, Any]) -> Any:
    """Return what the function returned, or raise what it raised."""
    if "returned" in answer:
        return answer["returned"]
    try:
        raised = answer["raised"]
        also, traceback = (tuple(map(_text, _list(raised[name]))) for name in ("also", "traceback"))
        event = Raised(_text(raised["error"], MAX_ERROR), _text(raised["cause"], MAX_CAUSE), also, traceback)
    except (KeyError, TypeError, InvalidArgument) as error:
        process.fail(f"sent a result that cannot be used: {error}")
    raise RaisedElsewhere(event)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MAX_ITEMS:
        raise InvalidArgument(f"not a list of up to {_MAX_ITEMS:,} values")
    return value


def _text(value: Any, limit: int = MAX_ERROR) -> str:
    if not isinstance(value, str):
        raise InvalidArgument("not a text")
    return shortened(value, limit)


def _limit(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InvalidArgument("not a number of more than 0")
    return min(value, _MAX_LIMIT)
