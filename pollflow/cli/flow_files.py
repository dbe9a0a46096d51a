"""Read flow files, and distinguish them from the flow tests that are stored beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pollflow.cli.exits import CommandError
from pollflow.cli.output import write_line
from pollflow.cli.project_app import read_app
from pollflow.cli.session import find_location
from pollflow.errors import DefinitionError, PollflowError
from pollflow.fdl import ANY_SIZE, ANY_WAIT, Flow, load_flow
from pollflow.fdl.fields import YEAR_SECONDS
from pollflow.testing.files import is_flow_test


def refuse_flow_test(path: Path) -> None:
    """Raise CommandError, with the command that runs it, if the file is a flow test."""
    if is_flow_test(path):
        raise CommandError(_message(path))


def without_flow_tests(paths: Sequence[Path]) -> list[Path]:
    """Return the flow files and print the skipped flow tests. Raises CommandError if all files are flow tests."""
    flows = [path for path in paths if not is_flow_test(path)]
    if not flows:
        refuse_flow_test(paths[0])
    for path in paths:
        if is_flow_test(path):
            write_line(f"skipped: {_message(path)}", is_error=True)
    return flows


def load_deployable(path: Path) -> Flow:
    """Return the flow of a file; the deployment checks its longest wait. Problems state the bounds that `lint` states.

    Raises DefinitionError.
    """
    try:
        return load_flow(path, max_wait_seconds=ANY_WAIT, max_bytes=ANY_SIZE)
    except DefinitionError:
        load_flow(path, max_wait_seconds=_longest_wait(path))
        raise


def _longest_wait(path: Path) -> float:
    """Return the setting of the project's app, or the default where there is no app."""
    location = find_location(None, None, near=path)
    if location.app is None:
        return YEAR_SECONDS
    try:
        return read_app(location.app, location.project).settings.max_wait
    except PollflowError:
        return YEAR_SECONDS


def _message(path: Path) -> str:
    return f"{path} is a flow test; run it with: pollflow test {path}"
