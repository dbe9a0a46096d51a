"""How commands end: their exit statuses, and errors as messages without a traceback."""

from __future__ import annotations

import typer

from pollflow.cli.texts import clean
from pollflow.errors import DefinitionError, PollflowError, StoreUnavailable

SUCCEEDED = 0
FAILED = 1
"""The execution failed, timed out, was stopped or did not end in time; lint found errors."""
REFUSED = 2
"""The command could not do what it was asked: bad usage, a bad flow, bad input, no Redis."""
INTERRUPTED = 130
WHICH_REDIS = "Redis is that of --redis, else that of POLLFLOW_REDIS_URL, else the project's embedded server."


class CommandError(PollflowError):
    """The command could not do what it was asked to do."""


def status_of(execution_status: str) -> int:
    """The exit status that tells how an execution has ended."""
    return SUCCEEDED if execution_status == "Succeeded" else FAILED


def print_error(error: BaseException) -> None:
    """Tells what went wrong, on standard error. A definition's problems stand on a line each, as editors read them."""
    text = "\n".join(clean(line) for line in str(error).splitlines())
    if isinstance(error, StoreUnavailable):
        text += f"\n{WHICH_REDIS}"
    typer.echo(text if isinstance(error, DefinitionError) else f"pollflow: {text}", err=True)
