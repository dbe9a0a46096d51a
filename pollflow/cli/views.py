"""How the following of an execution looks: live on a terminal, plain lines elsewhere, or nothing for `--json`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Protocol

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from pollflow.cli.progress import Entry, Line, Progress
from pollflow.cli.texts import clean, countdown, duration, shortened
from pollflow.fdl import Flow

MOST_OPEN = 6
"""Entries that are shown at once while they are open; a wide step has thousands."""
WIDEST_NAME = 36
INDEX_WIDTH = 4
"""Room for `[99]`. Of a higher index the name beside it is cut."""
BAR_WIDTH = 24
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAMES_A_SECOND = 10
MARKS = {"left": ("✓", "green"), "failed": ("✗", "bold red"), "again": ("↻", "yellow"), "error": ("✗", "yellow")}
STATUS_STYLES = {"Succeeded": "bold green", "Failed": "bold red", "Stopped": "bold yellow", "TimedOut": "bold red"}
_WIDE = re.compile(r"(?:branches|steps)\[\d+\]\.steps")
"""Where the path of a series leads into branches or iterations."""


class View(Protocol):
    """Shows what happens."""

    def say(self, text: str = "", style: str = "") -> None:
        """A line of its own."""

    def tell(self, line: Line) -> None:
        """What has just happened in the execution."""

    def tick(self, progress: Progress) -> None:
        """Time passes."""


class Silent:
    """Shows nothing."""

    def say(self, text: str = "", style: str = "") -> None:
        """Nothing."""

    def tell(self, line: Line) -> None:
        """Nothing."""

    def tick(self, progress: Progress) -> None:
        """Nothing."""


@dataclass(slots=True)
class Plain:
    """Lines as they happen, each written at once: for files and pipes."""

    started_at: datetime | None = None

    def say(self, text: str = "", style: str = "") -> None:
        """A line of its own."""
        typer.echo(text)

    def tell(self, line: Line) -> None:
        """A line that begins with the seconds since the first one."""
        self.started_at = self.started_at or line.at
        typer.echo(plain_line(line, self.started_at))

    def tick(self, progress: Progress) -> None:
        """Nothing: a file does not change its lines."""


@dataclass(slots=True)
class Terminal:
    """What is done stands above, a line each; what is being done moves below, until `schedule_next`."""

    console: Console
    live: Live
    name_width: int
    _frame: int = field(default=0)

    def say(self, text: str = "", style: str = "") -> None:
        """A line of its own, above what moves."""
        self.console.print(Text(text, style), soft_wrap=True)

    def tell(self, line: Line) -> None:
        """Steps that are entered are seen below; all else stays above."""
        if line.kind != "entered":
            self.console.print(done_line(line, self.name_width), soft_wrap=True)

    def tick(self, progress: Progress) -> None:
        """Draws what is open, with what is left of its waits."""
        self._frame += 1
        now = datetime.now(timezone.utc)
        self.live.update(open_lines(progress, now, self.name_width, FRAMES[self._frame % len(FRAMES)]), refresh=True)


def stdout_console() -> Console:
    """Return a console on standard output that prints texts as they are."""
    return Console(highlight=False, markup=False, emoji=False)


@contextmanager
def view(console: Console, flow: Flow | None = None, *, silent: bool = False) -> Iterator[View]:
    """The view that suits where the output goes. `flow` is the one whose steps will be shown, if any are."""
    if silent:
        yield Silent()
    elif not console.is_terminal or console.is_dumb_terminal:
        yield Plain()
    else:
        width = 0 if flow is None else width_of_names(flow)
        # Drawn by `tick` alone: a thread of its own would read the progress while it changes.
        with Live(Text(""), console=console, auto_refresh=False, transient=True) as live:
            yield Terminal(console, live, width)


@contextmanager
def retry_policy(console: Console, text: str, *, silent: bool = False) -> Iterator[None]:
    """A word on a terminal while there is nothing else to see."""
    if silent or not console.is_terminal or console.is_dumb_terminal:
        yield
    else:
        with console.status(Text(text, "dim"), spinner_style="cyan"):
            yield


def plain_line(line: Line, begin: datetime) -> str:
    """A line for files: seconds since the beginning, what happened, to which step."""
    since = f"+{(line.at - begin) / timedelta(seconds=1):.2f}s".rjust(9)
    words = [line.kind.ljust(7), "  " * line.depth + clean(line.step) + _told_indexes(line.indexes)]
    words += [f"({line.type})"] if line.type else []
    words += [tries(line.type, line.number)] if tries(line.type, line.number) else []
    words += [f"after {duration(line.seconds)}"] if line.kind in ("left", "failed") else []
    words += [clean(line.note)] if line.note else []
    return f"{since}  {' '.join(words)}"


def width_of_names(flow: Flow) -> int:
    """How wide the names of a flow's steps are, with their indents and some room for the indexes of iterations."""
    widths = [
        2 * series.path.count("steps[") + len(clean(step.name)) + INDEX_WIDTH * len(_WIDE.findall(series.path))
        for series in flow.series.values()
        for step in series.steps
    ]
    return min(WIDEST_NAME, max(widths))


def tries(type: str, number: int) -> str:
    """How often the step has been entered, where that is worth saying."""
    return f"try {number}" if number > 1 or type == "task" else ""


def done_line(line: Line, name_width: int) -> Text:
    """A line that stays on the terminal."""
    mark, style = MARKS[line.kind]
    text = Text(" ").append(mark, style).append(" ")
    _append_step(text, line, name_width)
    if line.kind not in ("again", "error"):
        text.append(duration(line.seconds).rjust(12), "dim" if line.seconds < 1 else "")
    if line.note:
        text.append("  ").append(clean(line.note), style)
    text.rstrip()
    return text


def open_lines(progress: Progress, now: datetime, name_width: int, frame: str) -> RenderableType:
    """The entries that are open: the newest, if there are too many."""
    entries = list(progress.open.values())
    lines = [_open_line(entry, now, name_width, frame) for entry in entries[-MOST_OPEN:]]
    if len(entries) > MOST_OPEN:
        lines.append(Text(f"   and {len(entries) - MOST_OPEN} more", "dim"))
    return Group(*lines)


def _open_line(entry: Entry, now: datetime, name_width: int, frame: str) -> Text:
    text = Text(" ", no_wrap=True, overflow="ellipsis").append(frame, "cyan").append(" ")
    _append_step(text, entry, name_width)
    if entry.until is None or entry.until < entry.entered_at:
        text.append(duration((now - entry.entered_at) / timedelta(seconds=1)).rjust(12), "dim")
    else:
        left = (entry.until - now) / timedelta(seconds=1)
        whole = (entry.until - entry.entered_at) / timedelta(seconds=1)
        text.append((countdown(left) if left > 0 else "due").rjust(12), "cyan").append("  ").append_text(
            _bar(1 - left / whole if whole else 1)
        )
    if entry.note:
        text.append("  ").append(clean(entry.note), "yellow")
    return text


def _bar(share: float) -> Text:
    done = round(BAR_WIDTH * min(1.0, max(0.0, share)))
    return Text("━" * done, "cyan").append("━" * (BAR_WIDTH - done), "bright_black")


def _append_step(text: Text, step: Entry | Line, name_width: int) -> None:
    indexes = _told_indexes(step.indexes)
    name = shortened("  " * step.depth + clean(step.step), max(1, name_width - len(indexes))) + indexes
    text.append(name.ljust(name_width)).append("  ").append(step.type.ljust(8), "dim").append("  ")
    text.append(tries(step.type, step.number).ljust(7), "dim" if step.number == 1 else "")


def _told_indexes(indexes: tuple[int, ...]) -> str:
    """In which branch and iteration a step is entered, as programs write it."""
    return "".join(f"[{index}]" for index in indexes)
