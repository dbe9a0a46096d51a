"""Every exception of pollflow, for all layers.

PollflowError
├── DefinitionError (ValueError)            a flow definition is invalid; lists every problem
├── StepError                               the failure of a step: an error name and a cause
│   └── TaskError                           raised by a function to choose the error name
├── InvalidArgument (ValueError)            a parameter is missing, malformed or out of its range
│   ├── EntityTooLarge                      a value exceeds its size limit
│   └── InvalidTaskToken                    a task token that this execution did not issue
├── FlowNotExists (LookupError)             no flow is deployed under that name
├── ExecutionNotExists (LookupError)        no execution has that name
├── ExecutionAlreadyExists                  an ended execution already has the name
├── ExecutionAlreadyCompleted               the execution has ended, so it cannot be stopped
├── TaskAlreadyCompleted                    the task was already reported, or no longer waits
├── ConfigurationError (ValueError)         invalid or conflicting settings, or no server is installed
│   └── RedisNotConfigured                  neither the app nor the environment names a Redis for the state
├── StoreUnavailable (ConnectionError)      Redis cannot be reached, or cannot serve requests
│   ├── StoreFull                           Redis is at its memory limit and refuses writes
│   └── StoreRefused                        Redis refuses the credentials or the permissions of this process
├── NotDurable                              the append-only file has not acknowledged the write
├── DamagedRecord                           a stored record cannot be decoded
├── UnreadableRecord                        a stored record has a layout that this release cannot read
│   └── MissingKey                          a stored record is encoded, and this process lacks its key or codec
├── CodecError                              the codec of the app fails to encode data
└── WaitTimeout (TimeoutError)              an execution did not end within the timeout

The first line of a class's docstring is its default message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pollflow.client.execution import Execution
    from pollflow.fdl.problems import Problem


def error_text(error: str, cause: str) -> str:
    """Return an error name and its cause as one text. A cause that begins with the name is the whole text."""
    return cause if cause.startswith(f"{error}: ") else ": ".join(text for text in (error, cause) if text)


class PollflowError(Exception):
    """An operation of pollflow failed.

    `started` are the executions that `Client.start_many` had started before, by the index of their input.
    """

    started: Mapping[int, Execution] = MappingProxyType({})

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class DefinitionError(PollflowError, ValueError):
    """The flow definition is invalid.

    `problems` lists every error, in the order of the lines.
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
        super().__init__(error_text(f"{error}", f"{cause}" if cause else ""))  # callers may pass any objects


class TaskError(StepError):
    """A function failed with an error name that it chose.

    Raise it from a function: `raise TaskError("FC.ResourceThrottled", "try again later")`.
    """


class InvalidArgument(PollflowError, ValueError):
    """A parameter is missing, malformed or out of its range."""


class EntityTooLarge(InvalidArgument):
    """A value exceeds its size limit."""


class InvalidTaskToken(InvalidArgument):
    """The task token was not issued by this execution."""


class FlowNotExists(PollflowError, LookupError):
    """No flow of that name is deployed."""


class ExecutionNotExists(PollflowError, LookupError):
    """The flow has no execution of that name."""


class ExecutionAlreadyExists(PollflowError):
    """An ended execution of the flow already has that name."""


class ExecutionAlreadyCompleted(PollflowError):
    """The execution has already ended."""


class TaskAlreadyCompleted(PollflowError):
    """The task was already reported, or no longer waits for a report."""


class ConfigurationError(PollflowError, ValueError):
    """The configuration is invalid."""


class RedisNotConfigured(ConfigurationError):
    """Neither the app nor the environment names a Redis for the state of executions."""


class StoreUnavailable(PollflowError, ConnectionError):
    """Redis cannot be reached, or cannot serve requests.

    Redis may have executed the request; repeating it is safe. `is_temporary` is true for a condition that passes or
    that an operator can end: no connection, loading, full, read-only.
    """

    def __init__(self, message: str = "", *, is_temporary: bool = True) -> None:
        self.is_temporary = is_temporary
        super().__init__(message)


class StoreFull(StoreUnavailable):
    """Redis is at its memory limit and refuses writes until memory is freed."""


class StoreRefused(StoreUnavailable):
    """Redis refuses the credentials or the permissions of this process until an operator changes them."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message, is_temporary=False)


class NotDurable(PollflowError):
    """The append-only file of Redis has not acknowledged the write.

    The write may still be durable; repeat the request to be sure.
    """


class DamagedRecord(PollflowError):
    """A stored record cannot be decoded."""


class UnreadableRecord(PollflowError):
    """A stored record has a layout that this release cannot read."""


class MissingKey(UnreadableRecord):
    """A stored record is encoded, and this process lacks its key or codec.

    Another process can read it, or this one after its configuration was changed. Codecs raise it.
    """


class CodecError(PollflowError):
    """The codec of the app (pollflow_codec) fails to encode data."""


class WaitTimeout(PollflowError, TimeoutError):
    """The execution did not end within the timeout."""
