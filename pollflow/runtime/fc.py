"""`fc_handler` runs handlers of Function Compute, `handler(event: bytes, context)`, without changes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pollflow.amounts import too_deep
from pollflow.errors import TaskError
from pollflow.fdl.model import JsonObject
from pollflow.machine.data import MAX_DEPTH
from pollflow.runtime import arguments
from pollflow.runtime.functions import Context, Function

Handler = Callable[[bytes, Any], Any]


@dataclass(frozen=True, slots=True)
class FcFunction:
    """`context.function` of Function Compute."""

    name: str
    handler: str = "index.handler"
    memory: int = 0
    timeout: int = 0
    qualifier: str = ""
    version_id: str = ""


@dataclass(frozen=True, slots=True)
class FcService:
    """`context.service` of Function Compute: empty, since functions belong to no service here."""

    name: str = ""
    log_project: str = ""
    log_store: str = ""
    qualifier: str = ""
    version_id: str = ""


@dataclass(frozen=True, slots=True)
class FcCredentials:
    """`context.credentials` of Function Compute: empty, since no role is assumed here."""

    access_key_id: str = ""
    access_key_secret: str = field(default="", repr=False)
    security_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class FcContext:
    """The context of Function Compute.

    `request_id` is the idempotency key, `retry_count` the attempt minus 1.
    """

    request_id: str
    function: FcFunction
    logger: logging.LoggerAdapter[logging.Logger]
    credentials: FcCredentials = field(default_factory=FcCredentials)
    service: FcService = field(default_factory=FcService)
    region: str = ""
    account_id: str = ""
    retry_count: int = 0


def fc_handler(handler: Handler) -> Function:
    """Return a function that calls a handler of Function Compute.

    The handler receives the step's input as JSON bytes, and returns JSON text or an object.
    """

    arguments.function("handler", handler)

    def call(input: JsonObject, context: Context) -> Any:
        name = getattr(handler, "__name__", "handler")
        fc_context = FcContext(
            context.idempotency_key, FcFunction(name), context.logger, retry_count=context.attempt - 1
        )
        result = handler(json.dumps(input).encode(), fc_context)
        if not isinstance(result, str | bytes | bytearray):
            return result
        try:
            return json.loads(result)
        except RecursionError:
            raise TaskError("FnF.InvalidLocal", too_deep("the text that the handler returned", MAX_DEPTH)) from None
        except ValueError as error:
            raise TaskError("FnF.InvalidLocal", f"the handler returned text that is not JSON: {error}") from error

    call.__name__ = getattr(handler, "__name__", "handler")
    call.__module__ = getattr(handler, "__module__", call.__module__)
    call.__qualname__ = getattr(handler, "__qualname__", call.__name__)
    return call
