"""Every exception of pollflow, for all layers.

PollflowError
├── DefinitionError (ValueError)            a flow's definition is wrong; lists every problem found
├── StepError                               the failure of a step: an error name and a cause
│   └── TaskError                           raised by a user's function to name its error itself
├── InvalidArgument (ValueError)            a parameter is missing, malformed or out of its range
│   ├── EntityTooLarge                      over a size limit
│   └── InvalidTaskToken                    a task token that this execution did not issue
├── FlowNotExists (LookupError)             no flow is deployed under that name
├── ExecutionNotExists (LookupError)        no execution has that name
├── ExecutionAlreadyExists                  an ended execution has the name already
├── ExecutionAlreadyCompleted               the execution has ended, so it cannot be stopped
├── TaskAlreadyCompleted                    a callback was reported before, or too late
├── ConfigurationError (ValueError)         settings that cannot work together
├── StoreUnavailable (ConnectionError)      Redis cannot be reached, or cannot serve
│   └── StoreFull                           Redis is at its memory limit and refuses writes
├── NotDurable                              perhaps written; the append-only file has not acknowledged it
├── UnreadableRecord                        a stored record has a layout this release does not know
└── WaitTimeout (TimeoutError)              an execution did not end within the timeout

The docstring of a class is the sentence a user reads when nothing more exact is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pollflow.fdl.problems import Problem


class PollflowError(Exception):
    """Something in pollflow went wrong."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class DefinitionError(PollflowError, ValueError):
    """The definition of the flow is wrong.

    `problems` lists every error found, in the order of their lines.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StepError(PollflowError):
    """A step failed.

    `error` is the name that `retry` and `catch` match, `cause` the text beside it.
    """

    def __init__(self, error: str, cause: str = "") -> None:
        self.error = error
        self.cause = cause
        super().__init__(f"{error}: {cause}" if cause else error)


class TaskError(StepError):
    """A function failed with an error of its own naming.

    Raise it from a function: `raise TaskError("FC.ResourceThrottled", "try again later")`.
    """


class InvalidArgument(PollflowError, ValueError):
    """A parameter is missing, malformed or out of its range."""


class EntityTooLarge(InvalidArgument):
    """Something is larger than its limit allows."""


class InvalidTaskToken(InvalidArgument):
    """The task token was not issued by this execution."""


class FlowNotExists(PollflowError, LookupError):
    """No flow of that name is deployed."""


class ExecutionNotExists(PollflowError, LookupError):
    """The flow has no execution of that name."""


class ExecutionAlreadyExists(PollflowError):
    """An ended execution of the flow has that name already."""


class ExecutionAlreadyCompleted(PollflowError):
    """The execution has ended already."""


class TaskAlreadyCompleted(PollflowError):
    """The task was reported already, or no longer waits."""


class ConfigurationError(PollflowError, ValueError):
    """The settings cannot work together."""


class StoreUnavailable(PollflowError, ConnectionError):
    """Redis cannot be reached, or cannot serve.

    The request may have been carried out; repeating it is safe. `is_passing` is true for a condition that ends by
    itself or by an operator: no connection, loading, full, read-only.
    """

    def __init__(self, message: str = "", *, is_passing: bool = True) -> None:
        self.is_passing = is_passing
        super().__init__(message)


class StoreFull(StoreUnavailable):
    """Redis is at its memory limit, and refuses writes until memory is free."""


class NotDurable(PollflowError):
    """The append-only file of Redis has not acknowledged what was written.

    The request may have been carried out; repeat it to be sure.
    """


class UnreadableRecord(PollflowError):
    """A stored record has a layout that this release does not know."""


class WaitTimeout(PollflowError, TimeoutError):
    """The execution did not end within the timeout."""
