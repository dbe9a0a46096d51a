"""The call of a function: what crosses to user code is a copy, and what comes back is one too."""

from __future__ import annotations

import asyncio
import inspect
import json
from typing import Any

from pollflow.errors import InvalidArgument, TaskError
from pollflow.fdl.model import Json, JsonObject
from pollflow.runtime.functions import Context, Function
from pollflow.runtime.objects import plain_json


def invoke(function: Function, input: JsonObject, context: Context) -> Json:
    """Call a function, sync or async, with a copy of the input. Return its result as plain JSON.

    Raises TaskError if the result is not JSON, and whatever the function raises.
    """
    # The input shares values with the state and with the constants of the flow, which the function may not change.
    result = function(json.loads(json.dumps(input)), context)
    if inspect.isawaitable(result):
        result = _awaited(result)
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TaskError("FnF.InvalidLocal", "the function returned a generator; it must return a JSON object")
    # The machine sees the same value as after a round trip through Redis: tuples become lists.
    try:
        return plain_json("the result", result)
    except InvalidArgument as error:
        raise TaskError("FnF.InvalidLocal", str(error)) from error


def _awaited(awaitable: Any) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_await(awaitable))
    if inspect.iscoroutine(awaitable):
        awaitable.close()
    raise RuntimeError(
        "an async function needs a thread without an event loop, but a loop runs in the thread of this call; "
        "use the pool prefork, threads or solo, or a function without async"
    )


async def _await(awaitable: Any) -> Any:
    return await awaitable
