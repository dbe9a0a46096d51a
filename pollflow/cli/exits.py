"""Exit statuses, and error messages without tracebacks."""

from __future__ import annotations

from pollflow.cli.output import write_line, write_lines
from pollflow.cli.server_text import known_server
from pollflow.errors import DefinitionError, PollflowError

SUCCEEDED = 0
FAILED = 1
"""The execution failed, timed out, was stopped or did not end in time, or lint found errors."""
REFUSED = 2
"""The command could not run: bad usage, a bad flow, bad input, no Redis."""
INTERRUPTED = 130


class CommandError(PollflowError):
    """The command cannot run as requested."""


def status_of(execution_status: str) -> int:
    """Return the exit status for an ended execution."""
    return SUCCEEDED if execution_status == "Succeeded" else FAILED


def print_error(error: BaseException) -> None:
    """Print an error on standard error, and the server if the command uses one.

    Problems of a flow definition have one line each, in the format of editors.
    """
    if isinstance(error, DefinitionError):
        for problem in error.problems:
            write_line(str(problem), is_error=True)
    else:
        write_lines(f"pollflow: {error}", is_error=True)
    if known_server():
        write_line(known_server(), is_error=True)
