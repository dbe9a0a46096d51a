"""`docs/cli.md` names every status, state of an open step, and column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pollflow.cli.commands import COMMANDS
from pollflow.cli.executions import COLUMNS
from pollflow.cli.flows import COLUMNS as FLOW_COLUMNS
from pollflow.cli.selection import Uses
from pollflow.cli.tables import Column
from pollflow.client import StepState
from pollflow.machine import Status

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")


def rows_of(heading: str) -> list[str]:
    """Return the first cells of the table whose head begins with this cell."""
    table = PAGE.partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_every_status_of_an_execution_is_documented() -> None:
    assert rows_of("status of an execution") == [status.value for status in Status]


def test_every_state_of_an_open_step_is_documented() -> None:
    assert rows_of("state of an open step") == [state.value for state in StepState]


def test_the_page_says_which_commands_import_the_app() -> None:
    table = PAGE.partition("\n| commands | import the app |")[2].partition("\n\n")[0]
    rows = [set(re.findall(r"`(\w+)`", line.split("|")[1])) for line in table.splitlines()[2:]]
    asked = {command.name for command in COMMANDS if command.uses is Uses.ASKED_APP}
    never = {command.name for command in COMMANDS if command.uses is Uses.FILES}
    assert rows == [asked, never, {command.name for command in COMMANDS} - asked - never]


@pytest.mark.parametrize(("command", "columns"), [("list", COLUMNS), ("flows", FLOW_COLUMNS)])
def test_the_order_in_which_columns_are_dropped_is_documented(command: str, columns: tuple[Column, ...]) -> None:
    dropped = sorted((column for column in columns if column.drop), key=lambda column: column.drop)
    assert f"`{command}` drops {', '.join(column.title for column in dropped)}" in PAGE
