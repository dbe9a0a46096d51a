from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollflow.cli import tables
from pollflow.cli.executions import COLUMNS
from pollflow.cli.flows import COLUMNS as FLOW_COLUMNS
from pollflow.cli.tables import Column, shortened, table_lines, width_of, wrapped_rows

STARTED = datetime(2026, 1, 1).isoformat(" ")
ROWS = [
    ("task-polling/run-0123456", "Running", STARTED, "4 min 30 s", "Both (children) and 3 more", "ValueError"),
    ("task-polling/b", "Succeeded", STARTED, "40.4 s", "", ""),
]
TITLES = [column.title for column in COLUMNS]


def titles(rows: Sequence[Sequence[str]], limit: int | None, columns: Sequence[Column] = COLUMNS) -> list[str]:
    return table_lines(columns, rows, limit)[0].split()


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, TITLES),
        (120, TITLES),
        (100, TITLES),
        (80, ["EXECUTION", "STATUS", "TOOK", "STEP", "ERROR"]),
        (65, ["EXECUTION", "STATUS", "STEP", "ERROR"]),
        (50, ["EXECUTION", "STATUS", "ERROR"]),
        (40, ["EXECUTION", "STATUS"]),
    ],
)
def test_a_narrow_terminal_drops_columns_in_their_order(limit: int | None, expected: list[str]) -> None:
    assert titles(ROWS, limit) == expected


def test_a_text_is_shortened_before_its_column_is_dropped() -> None:
    line = table_lines(COLUMNS, ROWS, 100)[1]
    assert "Both (children) a…" in line
    assert line.endswith("ValueError")


def test_without_a_terminal_nothing_is_left_out() -> None:
    row = ("f/" + "n" * 128, "Running", STARTED, "1 s", "s" * 128, "e" * 128)
    assert all(text in table_lines(COLUMNS, [row], None)[1] for text in row)


def test_columns_that_cannot_fit_follow_each_other_in_lines() -> None:
    rows = [("flow/a-name-that-is-long", "Succeeded", STARTED, "1 s", "", "")]
    assert table_lines(COLUMNS, rows, 20) == ["EXECUTION", "  STATUS", "flow/a-name-that-is-long", "  Succeeded"]


def test_flows_keep_their_names_and_then_their_descriptions() -> None:
    row = ("nightly-export", STARTED, "0123456789ab", "export all orders")
    found = {limit: titles([row], limit, FLOW_COLUMNS) for limit in (80, 60, 40, 20)}
    assert found == {
        80: ["FLOW", "DEPLOYED", "DIGEST", "DESCRIPTION"],
        60: ["FLOW", "DEPLOYED", "DESCRIPTION"],
        40: ["FLOW", "DESCRIPTION"],
        20: ["FLOW"],
    }


TEXTS = st.text(st.characters(categories=("L", "N", "Zs")), max_size=30)


@given(st.lists(st.tuples(*[TEXTS] * 6), min_size=1, max_size=5), st.integers(1, 130))
def test_lines_fit_the_terminal_or_are_whole_cells(rows: list[tuple[str, ...]], limit: int) -> None:
    lines = table_lines(COLUMNS, rows, limit)
    cells = {text for row in rows for text in row} | {f"  {text}" for row in rows for text in row}
    assert all(width_of(line) <= limit or line in cells or line.strip() in TITLES for line in lines)


def test_a_chinese_character_takes_two_columns_and_an_accent_none() -> None:
    assert (width_of("ab"), width_of("订单"), width_of("e\u0301")) == (2, 4, 1)
    assert shortened("订单订单", 5) == "订单…"
    lines = table_lines((Column("NAME"), Column("STATUS")), [("订单", "one"), ("order", "two")], None)
    assert [width_of(line.rpartition(" ")[0]) for line in lines] == [6, 6, 6]


@pytest.mark.parametrize("limit", [40, 60, 80, 120])
def test_rows_of_show_are_wrapped_within_the_terminal(limit: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(tables, "terminal_width", lambda: limit)
    text = f"Ask[0] (task): attempt 3, retrying since {STARTED}, due {STARTED}, last error ValueError"
    lines = wrapped_rows([("status", "Running"), ("open steps", text)])
    assert all(len(line) <= limit for line in lines)
    assert " ".join(" ".join(lines[1:]).split()) == f"open steps {text}"
    assert "\n".join(lines).count(STARTED) == 2
