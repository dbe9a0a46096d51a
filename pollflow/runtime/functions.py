"""Functions that flows call: registered by name, found by the resource of a step, called with a context.

A name in a flow never imports or calls anything else: only registered functions are called.
"""

from __future__ import annotations

import asyncio
import difflib
import inspect
import logging
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pollflow.errors import InvalidArgument, TaskError
from pollflow.fdl.model import FunctionResource, Json, JsonObject, Resource
from pollflow.runtime.objects import plain_json

Function = Callable[[JsonObject, "Context"], Any]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Context:
    """The context of one call.

    `idempotency_key` stays the same when the call is repeated because a worker died. Pass it to an API that accepts
    one, so that no job is started twice. `attempt` counts the calls by retry policies within one visit of the step,
    from 1. `deadline` is when the attempt times out, or None.
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
    _Adapter = logging.LoggerAdapter  # not generic at run time in Python 3.10


class CallLogger(_Adapter):
    """Logger of one call: its lines begin with `FLOW/NAME STEP: `, and its records have the ids as fields."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Prefix a line with its flow, execution and step."""
        info = self.extra or {}
        # A % in a name is not a format specifier.
        prefix = "{flow}/{execution} {step}".format_map(info).replace("%", "%%")
        return super().process(f"{prefix}: {msg}", kwargs)


class Functions:
    """A registry of functions by name: a full ARN, `SERVICE/FUNCTION`, or `FUNCTION` alone."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._functions))

    def register(self, name: str, function: Function) -> None:
        """Register a function. Raises InvalidArgument if another function has the name."""
        if not name or not isinstance(name, str):
            raise InvalidArgument("a function name must be a non-empty string")
        known = self._functions.get(name)
        if known is not None and _qualified_name(known) != _qualified_name(function):
            names = f"{_qualified_name(known)} and {_qualified_name(function)}"
            raise InvalidArgument(f"two functions are registered as {name!r}: {names}")
        self._functions[name] = function

    @overload
    def function(self, name: F) -> F: ...
    @overload
    def function(self, name: str | None = None) -> Callable[[F], F]: ...
    def function(self, name: str | F | None = None) -> F | Callable[[F], F]:
        """Decorator that registers a function, by default under its own name."""
        if callable(name):
            self.register(name.__name__, name)
            return name

        def register(function: F) -> F:
            self.register(name or function.__name__, function)
            return function

        return register

    def find(self, resource: Resource) -> Function | None:
        """Return the function of a resource: by full ARN, then `SERVICE/FUNCTION`, then `FUNCTION`."""
        return next((self._functions[name] for name in names_of(resource) if name in self._functions), None)

    def near(self, resource: Resource) -> list[str]:
        """Return registered names that are similar to the resource's."""
        found = [near for name in names_of(resource) for near in difflib.get_close_matches(name, self._functions, n=3)]
        return list(dict.fromkeys(found))


def names_of(resource: Resource) -> tuple[str, ...]:
    """Return the names under which the function of a resource may be registered, in the order of the lookup."""
    if isinstance(resource, FunctionResource):
        return resource.arn, f"{resource.service}/{resource.function}", resource.function
    return (resource.arn,)


def missing_cause(resource: Resource, functions: Functions) -> str:
    """Return the cause of the error for a function that is not registered."""
    name = names_of(resource)[1 if isinstance(resource, FunctionResource) else 0]
    near = functions.near(resource)
    known = f"similar names: {', '.join(near)}" if near else f"registered: {', '.join(list(functions)[:10]) or 'none'}"
    return f"no function is registered as {name!r}; {known}"


def invoke(function: Function, input: JsonObject, context: Context) -> Json:
    """Call a function, sync or async, and return its result as plain JSON. Raises TaskError if it is not JSON."""
    result = function(input, context)
    if inspect.isawaitable(result):
        result = asyncio.run(_await(result))
    # The machine sees the same value as after a round trip through Redis: tuples become lists.
    try:
        return plain_json("the result", result)
    except InvalidArgument as error:
        raise TaskError("FnF.InvalidLocal", str(error)) from error


async def _await(awaitable: Any) -> Any:
    return await awaitable


def _qualified_name(function: Function) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


default = Functions()
"""The registry of `@pollflow.function`, which `attach` uses by default."""
function = default.function
