"""Functions that flows call: registered by name, found by the resource of a step, called with a context.

A name in a flow never imports or calls anything else: only registered functions are called.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pollflow.errors import InvalidArgument
from pollflow.fdl.model import FunctionResource, JsonObject, Resource
from pollflow.runtime.callables import Registered, check_callable, check_name, describe, is_same, own_name
from pollflow.runtime.logs import HIDE
from pollflow.suggestions import nearest

Function = Callable[[JsonObject, "Context"], Any]
_MAX_LISTED = 10
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

    def __init__(self, logger: logging.Logger, extra: dict[str, object], hide: Callable[[str], str]) -> None:
        super().__init__(logger, extra)
        self._hide = hide

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Prefix a line with its flow, execution and step."""
        info = self.extra or {}
        # A % in a name is not a format specifier.
        prefix = "{flow}/{execution} {step}".format_map(info).replace("%", "%%")
        return f"{prefix}: {msg}", {**kwargs, "extra": {**info, HIDE: self._hide}}


class Functions:
    """A registry of functions by name: a full ARN, `SERVICE/FUNCTION`, or `FUNCTION` alone."""

    def __init__(self) -> None:
        self._functions: dict[str, Registered] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._functions))

    def register(self, name: str, function: Function) -> None:
        """Register a function. Raises InvalidArgument if it cannot be called, or if another function has the name."""
        check_callable(check_name(name), function)
        new, known = Registered.now(function), self._functions.get(name)
        if known is not None and not is_same(known, new):
            names = f"{describe(known.function)} and {describe(function)}"
            raise InvalidArgument(f"two functions are registered as {name!r}: {names}; give each one its own name")
        self._functions[name] = new

    @overload
    def function(self, name: F) -> F: ...
    @overload
    def function(self, name: str | None = None) -> Callable[[F], F]: ...
    def function(self, name: str | F | None = None) -> F | Callable[[F], F]:
        """Decorator that registers a function, by default under its own name. Raises what `register` raises."""
        if callable(name):
            self.register(own_name(name), name)
            return name
        given = None if name is None else check_name(name)

        def register(function: F) -> F:
            self.register(own_name(function) if given is None else given, function)
            return function

        return register

    def find(self, resource: Resource) -> Function | None:
        """Return the function of a resource: by full ARN, then `SERVICE/FUNCTION`, then `FUNCTION`."""
        return next((self._functions[name].function for name in names_of(resource) if name in self._functions), None)

    def near(self, resource: Resource) -> list[str]:
        """Return registered names that are similar to the resource's."""
        found = [near for name in names_of(resource) for near in nearest(name, self._functions, count=3)]
        return list(dict.fromkeys(found))


def names_of(resource: Resource) -> tuple[str, ...]:
    """Return the names under which the function of a resource may be registered, in the order of the lookup."""
    if isinstance(resource, FunctionResource):
        return resource.arn, f"{resource.service}/{resource.function}", resource.function
    return (resource.arn,)


def missing_cause(resource: Resource, functions: Functions) -> str:
    """Return the cause of the error for a function that is not registered."""
    name = names_of(resource)[1 if isinstance(resource, FunctionResource) else 0]
    near, names = functions.near(resource), list(functions)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return (
        f"no function is registered as {name!r}; {hint}registered: {', '.join(names[:_MAX_LISTED]) or 'none'}{more}; "
        "a worker registers the functions of the modules that worker.py, `imports` or `autodiscover_tasks` import"
    )


default = Functions()
"""The registry of `@pollflow.function`, which `attach` uses by default."""
function = default.function
