"""What functions answer in virtual time: scripted replies, or Python functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pollflow.errors import TaskError
from pollflow.fdl.model import Json, JsonObject, ServiceResource
from pollflow.runtime.functions import Context, Function, Functions


@dataclass(frozen=True, slots=True)
class Reply:
    """What one call of a function answers: a value, or an error if `raises` is set; or its worker dies (`lost`).

    `takes` is how long the call runs, in virtual seconds. A Python function may return a Reply too.
    """

    returns: Json = None
    raises: TaskError | None = None
    lost: bool = False
    takes: float = 0


Source: TypeAlias = Sequence[Reply] | Callable[..., Any]
"""Where the answers of a function come from. Of replies the last one repeats."""


class WorkerDied(BaseException):
    """Ends a call as the death of its worker does: nothing that a function or the engine catches."""


class NoReply(BaseException):
    """Ends the run: who was asked for the answer will not give one. Nothing that a function or the engine catches."""


class Stopwatch:
    """How long the present call takes; functions answer at once, and say here when they would have."""

    seconds: float = 0.0


class Answering:
    """A registered function that answers from a source."""

    def __init__(self, source: Source, stopwatch: Stopwatch) -> None:
        self._source = source
        self._stopwatch = stopwatch
        self._calls = 0

    def __call__(self, input: JsonObject, context: Context) -> Any:
        """Answers one call."""
        self._calls += 1
        if callable(self._source):
            answer = self._source(input, context)
            if not isinstance(answer, Reply):
                return answer
        else:
            answer = self._source[min(self._calls, len(self._source)) - 1]
        self._stopwatch.seconds = answer.takes
        if answer.lost:
            raise WorkerDied
        if answer.raises is not None:
            raise answer.raises
        return answer.returns


def registry(functions: Functions | Mapping[str, Source], stopwatch: Stopwatch) -> Functions:
    """The functions of a run, under the names that flows look them up by."""
    answering = Functions()
    for name in functions:
        source: Source | Function | None
        if isinstance(functions, Functions):
            source = functions.find(ServiceResource(name, takes_params=False))
        else:
            source = functions[name]
        if source is None or (not callable(source) and not source):
            raise ValueError(f"function {name!r} has no replies")
        answering.register(name, Answering(source, stopwatch))
    return answering
