"""The output of a watched execution: live on a terminal, plain lines elsewhere, nothing with `--json`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from pollflow.cli.output import safe_streams, unsafe, write_line, write_lines
from pollflow.cli.progress import Line, Progress, Visit
from pollflow.cli.texts import countdown, duration, shortened
from pollflow.fdl import Flow
from pollflow.printable import clean, clean_lines

MAX_OPEN = 6
"""Open visits shown at once; a map step may have thousands."""
MAX_NAME_WIDTH = 36
INDEX_WIDTH = 4
"""Space for `[99]`. With a higher index the name beside it is shortened."""
BAR_WIDTH = 24
VISIT_WIDTH = len("visit 999")
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
MARKS = {"left": ("✓", "green"), "failed": ("✗", "bold red"), "retry": ("↻", "yellow"), "error": ("✗", "yellow")}
STATUS_STYLES = {"Succeeded": "bold green", "Failed": "bold red", "Stopped": "bold yellow", "TimedOut": "bold red"}
_MAP_STEP = re.compile(r"(?:branches|steps)\[\d+\]\.steps")
"""Matches where the path of a series enters a branch or an iteration."""


class View(Protocol):
    """The output of a watched execution."""

    def write(self, text: str = "", style: str = "") -> None:
        """Write a line of text."""

    def show_line(self, line: Line) -> None:
        """Show a line about the latest event."""

    def refresh(self, progress: Progress) -> None:
        """Redraw the open visits."""


class Silent:
    """No output."""

    def write(self, text: str = "", style: str = "") -> None:
        """Do nothing."""

    def show_line(self, line: Line) -> None:
        """Do nothing."""

    def refresh(self, progress: Progress) -> None:
        """Do nothing."""


@dataclass(slots=True)
class Plain:
    """Lines for files and pipes, each written at once."""

    started_at: datetime | None = None

    def write(self, text: str = "", style: str = "") -> None:
        """Write a line of text."""
        write_lines(text)

    def show_line(self, line: Line) -> None:
        """Write a line that begins with the seconds since the first one."""
        self.started_at = self.started_at or line.at
        write_line(plain_line(line, self.started_at))

    def refresh(self, progress: Progress) -> None:
        """Do nothing: written lines do not change."""


@dataclass(slots=True)
class Terminal:
    """Ended visits stay as lines; open visits are redrawn below them."""

    console: Console
    live: Live
    name_width: int
    _frame: int = field(default=0)

    def write(self, text: str = "", style: str = "") -> None:
        """Write a line of text above the open visits."""
        self.console.print(Text(clean_lines(text), style), soft_wrap=True)

    def show_line(self, line: Line) -> None:
        """Write a line above the open visits, except for entered steps, which are open visits."""
        if line.kind != "entered":
            self.console.print(done_line(line, self.name_width), soft_wrap=True)

    def refresh(self, progress: Progress) -> None:
        """Draw the open visits and the rest of their waits."""
        self._frame += 1
        now = datetime.now(timezone.utc)
        self.live.update(open_lines(progress, now, self.name_width, FRAMES[self._frame % len(FRAMES)]), refresh=True)


def stdout_console() -> Console:
    """Return a console on standard output that prints texts as they are: without markup, links and emoji codes."""
    return Console(file=unsafe(sys.stdout), highlight=False, markup=False, emoji=False)


@contextmanager
def view(console: Console, flow: Flow | None = None, *, silent: bool = False) -> Iterator[View]:
    """Return the view for the kind of the output. `flow` is the flow whose steps are shown."""
    if silent:
        yield Silent()
    elif not console.is_terminal or console.is_dumb_terminal:
        yield Plain()
    else:
        width = 0 if flow is None else width_of_names(flow)
        # Only `refresh` draws: a drawing thread would read the progress while it changes.
        # rich replaces the streams by its own, which would read control sequences.
        with Live(Text(""), console=console, auto_refresh=False, transient=True) as live, safe_streams():
            yield Terminal(console, live, width)


@contextmanager
def busy(console: Console, text: str, *, silent: bool = False) -> Iterator[None]:
    """Show a text with a spinner on a terminal during the block."""
    if silent or not console.is_terminal or console.is_dumb_terminal:
        yield
    else:
        with console.status(Text(text, "dim"), spinner_style="cyan"), safe_streams():
            yield


def plain_line(line: Line, begin: datetime) -> str:
    """Return a line for files: seconds since the start, what happened, and the step."""
    since = f"+{(line.at - begin) / timedelta(seconds=1):.2f}s".rjust(9)
    words = [line.kind.ljust(7), "  " * line.depth + clean(line.step) + _index_text(line.indexes)]
    words += [f"({line.type})"] if line.type else []
    visit = visit_text(line.type, line.number)
    words += [visit] if visit else []
    words += [f"after {duration(line.seconds)}"] if line.kind in ("left", "failed") else []
    words += [clean(line.note)] if line.note else []
    return f"{since}  {' '.join(words)}"


def width_of_names(flow: Flow) -> int:
    """Return the width of the longest step name of a flow, with its indent and space for indexes."""
    widths = [
        2 * series.path.count("steps[") + len(clean(step.name)) + INDEX_WIDTH * len(_MAP_STEP.findall(series.path))
        for series in flow.series.values()
        for step in series.steps
    ]
    return min(MAX_NAME_WIDTH, max(widths))


def visit_text(type: str, number: int) -> str:
    """Return the number of a visit; an empty text for the first one, except for task steps."""
    return f"visit {number}" if number > 1 or type == "task" else ""


def done_line(line: Line, name_width: int) -> Text:
    """Return a line that stays on the terminal."""
    mark, style = MARKS[line.kind]
    text = Text(" ").append(mark, style).append(" ")
    _append_step(text, line, name_width)
    if line.kind not in ("retry", "error"):
        text.append(duration(line.seconds).rjust(12), "dim" if line.seconds < 1 else "")
    if line.note:
        text.append("  ").append(clean(line.note), style)
    text.rstrip()
    return text


def open_lines(progress: Progress, now: datetime, name_width: int, frame: str) -> RenderableType:
    """Return a line per open visit; only the newest if there are more than MAX_OPEN."""
    visits = list(progress.open.values())
    lines = [_open_line(visit, now, name_width, frame) for visit in visits[-MAX_OPEN:]]
    if len(visits) > MAX_OPEN:
        lines.append(Text(f"   and {len(visits) - MAX_OPEN} more", "dim"))
    return Group(*lines)


def _open_line(visit: Visit, now: datetime, name_width: int, frame: str) -> Text:
    text = Text(" ", no_wrap=True, overflow="ellipsis").append(frame, "cyan").append(" ")
    _append_step(text, visit, name_width)
    if visit.until is None or visit.until < visit.entered_at:
        text.append(duration((now - visit.entered_at) / timedelta(seconds=1)).rjust(12), "dim")
    else:
        left = (visit.until - now) / timedelta(seconds=1)
        whole = (visit.until - visit.entered_at) / timedelta(seconds=1)
        text.append((countdown(left) if left > 0 else "due").rjust(12), "cyan").append("  ").append_text(
            _bar(1 - left / whole if whole else 1)
        )
    if visit.note:
        text.append("  ").append(clean(visit.note), "yellow")
    return text


def _bar(share: float) -> Text:
    done = round(BAR_WIDTH * min(1.0, max(0.0, share)))
    return Text("━" * done, "cyan").append("━" * (BAR_WIDTH - done), "bright_black")


def _append_step(text: Text, step: Visit | Line, name_width: int) -> None:
    indexes = _index_text(step.indexes)
    name = shortened("  " * step.depth + clean(step.step), max(1, name_width - len(indexes))) + indexes
    text.append(name.ljust(name_width)).append("  ").append(step.type.ljust(8), "dim").append("  ")
    text.append(visit_text(step.type, step.number).ljust(VISIT_WIDTH), "dim" if step.number == 1 else "")


def _index_text(indexes: tuple[int, ...]) -> str:
    """Return the indexes of branches and iterations, such as `[0][12]`."""
    return "".join(f"[{index}]" for index in indexes)
