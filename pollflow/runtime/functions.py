"""Functions that flows call: registered by name, looked up by the names of the language, called with a context.

Nothing is imported or called by a name that came from a flow: what is not registered does not exist.
"""

from __future__ import annotations

import asyncio
import difflib
import inspect
import json
import logging
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pollflow.errors import InvalidArgument, TaskError
from pollflow.fdl.model import FunctionResource, Json, JsonObject, Resource

Function = Callable[[JsonObject, "Context"], Any]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Context:
    """What a function knows of the call that it serves.

    `idempotency_key` stays the same when the call has to be made again because a worker died: hand it to an API that
    takes one, and a job is never started twice. `attempt` counts the calls by retry policies, from 1. `deadline` is
    when the step times out, if it does.
    """

    execution_id: str
    execution_name: str
    flow_name: str
    step: str
    attempt: int
    idempotency_key: str
    deadline: datetime | None
    logger: logging.LoggerAdapter[logging.Logger]


if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter  # takes no type in Python 3.10


class CallLogger(_Adapter):
    """Logs for one call: its lines begin with `FLOW/NAME STEP: `, and its records have the ids as fields too."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Adds whose line it is."""
        info = self.extra or {}
        # A name may hold a %, which is no place for an argument.
        whose = "{flow}/{execution} {step}".format_map(info).replace("%", "%%")
        return super().process(f"{whose}: {msg}", kwargs)


class Functions:
    """A registry of functions by name: a full ARN, `SERVICE/FUNCTION`, or `FUNCTION` alone."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._functions))

    def register(self, name: str, function: Function) -> None:
        """Registers under a name. Raises InvalidArgument if another function has it."""
        if not name or not isinstance(name, str):
            raise InvalidArgument("a function is registered under a name that is not empty")
        known = self._functions.get(name)
        if known is not None and _place(known) != _place(function):
            raise InvalidArgument(f"two functions are registered as {name!r}: {_place(known)} and {_place(function)}")
        self._functions[name] = function

    @overload
    def function(self, name: F) -> F: ...
    @overload
    def function(self, name: str | None = None) -> Callable[[F], F]: ...
    def function(self, name: str | F | None = None) -> F | Callable[[F], F]:
        """Decorator that registers a function, under its own name unless another is given."""
        if callable(name):
            self.register(name.__name__, name)
            return name

        def register(function: F) -> F:
            self.register(name or function.__name__, function)
            return function

        return register

    def find(self, resource: Resource) -> Function | None:
        """The function for a resource: by full ARN, then `SERVICE/FUNCTION`, then `FUNCTION`."""
        return next((self._functions[name] for name in names_of(resource) if name in self._functions), None)

    def near(self, resource: Resource) -> list[str]:
        """Registered names that look like the resource's."""
        wanted = names_of(resource)
        found = [near for name in wanted for near in difflib.get_close_matches(name, self._functions, n=3)]
        return list(dict.fromkeys(found))


def names_of(resource: Resource) -> tuple[str, ...]:
    """The names that a resource is looked up by, in order."""
    if isinstance(resource, FunctionResource):
        return resource.arn, f"{resource.service}/{resource.function}", resource.function
    return (resource.arn,)


def missing_cause(resource: Resource, functions: Functions) -> str:
    """What is said when nobody registered the function that a flow names."""
    wanted = names_of(resource)[1 if isinstance(resource, FunctionResource) else 0]
    near = functions.near(resource)
    told = f"near names: {', '.join(near)}" if near else f"registered: {', '.join(list(functions)[:10]) or 'none'}"
    return f"no function is registered as {wanted!r}; {told}"


def invoke(function: Function, input: JsonObject, context: Context) -> Json:
    """Calls a function, sync or async; its result as plain JSON. Raises TaskError if it is none."""
    result = function(input, context)
    if inspect.isawaitable(result):
        result = asyncio.run(_await(result))
    # Tuples become lists here and not later, so that the machine sees what Redis will keep.
    try:
        return json.loads(json.dumps(result, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise TaskError("FnF.InvalidLocal", f"the result is no JSON object: {error}") from error


async def _await(awaitable: Any) -> Any:
    return await awaitable


def _place(function: Function) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


default = Functions()
"""The registry of `@pollflow.function`, which `attach` uses unless told otherwise."""
function = default.function
