"""The replies of functions in virtual time: scripted, or those of Python functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pollflow.errors import InvalidArgument, TaskError
from pollflow.fdl.model import Json, JsonObject, ServiceResource
from pollflow.runtime import arguments
from pollflow.runtime.callables import check_callable
from pollflow.runtime.functions import Context, Function, Functions


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of one call: a value, an error if `raises` is set, or the death of its worker (`lost`).

    `takes` is how long the call runs, in virtual seconds. A Python function may return a Reply, too.
    """

    returns: Json = None
    raises: TaskError | None = None
    lost: bool = False
    takes: float = 0

    def __post_init__(self) -> None:
        if self.raises is not None:
            arguments.instance("raises", self.raises, TaskError, "a TaskError or None")
        arguments.boolean("lost", self.lost)
        arguments.number("takes", self.takes, unit="seconds")


Source: TypeAlias = Sequence[Reply] | Callable[..., Any]
"""Replies in the order of the calls, the last one repeated, or a Python function `(input, context)`."""


class WorkerDied(BaseException):
    """The worker of a call has died."""


class NoReply(BaseException):
    """No reply was given, which ends the run."""


def is_interruption(error: BaseException) -> bool:
    """Return whether an exception of a call is not the error of its step.

    Besides the above these are Ctrl-C, and what a function uses to end its test, such as `pytest.fail`.
    """
    kinds = type.mro(type(error))  # a class of the user may override `__class__` and `__module__`
    ends_test = any(str(kind.__module__).partition(".")[0] in ("_pytest", "hypothesis") for kind in kinds)
    return ends_test or any(kind in (WorkerDied, NoReply, KeyboardInterrupt) for kind in kinds)


class Stopwatch:
    """How long the current call takes, in virtual seconds. Functions return at once and set it."""

    seconds: float = 0.0


class ScriptedFunction:
    """A registered function that replies from a source."""

    def __init__(self, source: Source, stopwatch: Stopwatch) -> None:
        self._source = source
        self._stopwatch = stopwatch
        self._calls = 0

    def __call__(self, input: JsonObject, context: Context) -> Any:
        """Reply to one call."""
        self._calls += 1
        if callable(self._source):
            reply = self._source(input, context)
            if not isinstance(reply, Reply):
                return reply
        else:
            reply = self._source[min(self._calls, len(self._source)) - 1]
        self._stopwatch.seconds = reply.takes
        if reply.lost:
            raise WorkerDied
        if reply.raises is not None:
            raise reply.raises
        return reply.returns


def registry(functions: Functions | Mapping[str, Source], stopwatch: Stopwatch) -> Functions:
    """Return the functions of a run by name. Raises InvalidArgument for one that has no replies or cannot be called."""
    registered = Functions()
    for name in functions:
        source: Source | Function | None
        if isinstance(functions, Functions):
            source = functions.find(ServiceResource(name, takes_params=False))
        else:
            source = functions[name]
        argument = f"functions[{arguments.shown(name)}]"
        if source is None or not callable(source):
            expected = "a function, or a list of at least one Reply"
            source = arguments.items(argument, source, (Reply,), expected)
            if not source:
                raise InvalidArgument(f"{argument} has no replies; it must be {expected}")
        if callable(source):
            check_callable(name, source)
        registered.register(name, ScriptedFunction(source, stopwatch))
    return registered
