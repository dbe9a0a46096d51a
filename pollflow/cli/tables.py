"""Print tables that fit the terminal: columns are shortened, then left out in a fixed order."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from pollflow.cli.output import write_line
from pollflow.cli.selection import selection
from pollflow.cli.server_text import known_server
from pollflow.printable import clean

GAP = "  "
_WIDE = ("W", "F")
_MIN_ROOM = 20
_NO_BREAK = "\N{NO-BREAK SPACE}"
_DATE = re.compile(r"(?<=\d{4}-\d\d-\d\d) (?=\d\d:)")
"""The space in a time, where no line is broken."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column. A terminal that is too narrow drops columns by `drop`, the lowest first; 0 is never dropped.

    `least` is the width to which texts may be shortened before a column is dropped; 0 keeps them whole.
    """

    title: str
    drop: int = 0
    least: int = 0


def terminal_width() -> int | None:
    """Return the number of columns of the terminal on standard output; None if it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print rows below their column heads. Without rows, print the text `empty` and the server on standard error."""
    if not rows:
        write_line(empty, is_error=True)
        if not selection.verbose:  # otherwise it is printed already
            write_line(known_server(), is_error=True)  # an empty table may be that of a wrong server
        return
    cells = [[clean(cell) for cell in row] for row in rows]
    first, *lines = table_lines(columns, cells, terminal_width())
    write_line(first, is_bold=True)
    for line in lines:
        write_line(line)


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[str]], limit: int | None) -> list[str]:
    """Return the lines of a table of at most `limit` columns. Where that is impossible, cells follow each other in
    lines of their own.
    """
    kept = list(range(len(columns)))
    natural = [
        max(width_of(text) for text in (column.title, *(row[position] for row in rows)))
        for position, column in enumerate(columns)
    ]
    least = [
        min(width, max(column.least, width_of(column.title))) if column.least else width
        for column, width in zip(columns, natural, strict=True)
    ]
    while limit is not None and _total([least[position] for position in kept]) > limit:
        droppable = [position for position in kept if columns[position].drop]
        if not droppable:
            break
        kept.remove(min(droppable, key=lambda position: columns[position].drop))
    table = [[column.title for column in columns], *rows]
    if limit is not None and _total([least[position] for position in kept]) > limit:
        return [
            line
            for row in table
            for number, position in enumerate(kept)
            for line in [("" if number == 0 else GAP) + row[position]]
            if row[position]
        ]
    widths = _shrunk({position: natural[position] for position in kept}, least, limit)
    return [
        GAP.join(padded(shortened(row[position], width), width) for position, width in widths.items()).rstrip()
        for row in table
    ]


def wrapped_rows(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Return names and texts in two columns; on a terminal, long texts continue in the second one."""
    indent = max(width_of(name) for name, _ in rows)
    limit = terminal_width()
    lines: list[str] = []
    for name, text in rows:
        parts = [text]
        if limit is not None:
            room = max(_MIN_ROOM, limit - indent - len(GAP))
            parts = textwrap.wrap(_DATE.sub(_NO_BREAK, text), room, break_long_words=False, break_on_hyphens=False)
        for number, part in enumerate(parts or [""]):
            start = padded("" if number else name, indent)
            lines.append(f"{start}{GAP}{part}".rstrip().replace(_NO_BREAK, " "))
    return lines


def width_of(text: str) -> int:
    """Return the number of terminal columns of a text: a Chinese character takes two, an accent none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in _WIDE) for char in text)


def padded(text: str, width: int) -> str:
    """Return the text with blanks up to `width` terminal columns."""
    return text + " " * (width - width_of(text))


def shortened(text: str, width: int) -> str:
    """Return the text, cut to `width` terminal columns."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _shrunk(widths: dict[int, int], least: Sequence[int], limit: int | None) -> dict[int, int]:
    """Return the widths of columns by position, so that their total is within the limit. The widest shrink first."""
    while limit is not None and _total(list(widths.values())) > limit:
        shrinkable = [position for position, width in widths.items() if width > least[position]]
        if not shrinkable:
            break
        widths[max(shrinkable, key=lambda position: widths[position])] -= 1
    return widths
