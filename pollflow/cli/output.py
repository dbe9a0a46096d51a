"""The output of all commands: nothing that data contains controls a terminal, and no URL shows a password.

Commands write with the functions of this module. Whatever else reaches standard output and standard error, such as
messages of click, log lines and tracebacks, passes a `SafeStream`.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TextIO, cast

import typer

from pollflow.cli.texts import pretty
from pollflow.printable import clean, clean_lines, without_passwords


class SafeStream:
    """A text stream that escapes control and invisible characters, and masks the passwords of URLs.

    It has no `buffer`, since bytes would not be escaped. `unsafe` is the stream below, for styles and for rich.
    """

    def __init__(self, unsafe: TextIO, target: TextIO) -> None:
        self.unsafe = unsafe
        self._target = target

    def write(self, text: str) -> int:
        """Write a text."""
        if not isinstance(text, str):
            raise TypeError("only text can be written")  # click asks in this way whether a stream is binary
        self._target.write(clean_lines(without_passwords(text)))
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        """Write several texts."""
        for text in texts:
            self.write(text)

    def flush(self) -> None:
        """Flush the stream below."""
        self._target.flush()

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.unsafe, name)


@contextmanager
def safe_streams() -> Iterator[None]:
    """Let everything that is written to standard output and standard error during the block be safe to print."""
    before = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, SafeStream(sys.stdout, _target("stdout")))
    sys.stderr = cast(TextIO, SafeStream(sys.stderr, _target("stderr")))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def write_line(text: str = "", *, is_error: bool = False, is_bold: bool = False) -> None:
    """Write one line to standard output, or to standard error. A line end in the text is a blank."""
    if is_bold:
        bold = typer.style(clean(without_passwords(text)), bold=True)
        typer.echo(bold, file=unsafe(sys.stderr if is_error else sys.stdout))
    else:
        typer.echo(clean(text), err=is_error)


def write_lines(text: str, *, is_error: bool = False) -> None:
    """Write a text whose lines pollflow has made, such as an indented JSON document."""
    typer.echo(text, err=is_error)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    write_lines(pretty(value))


def unsafe(stream: TextIO) -> TextIO:
    """Return the stream below a safe one. Whatever is written to it must be clean."""
    return cast(TextIO, getattr(stream, "unsafe", stream))


def _target(name: Literal["stdout", "stderr"]) -> TextIO:
    """Return the stream to write to: that of click, which prints UTF-8 where the locale is missing."""
    stream: TextIO = getattr(sys, name)
    return typer.get_text_stream(name) if isinstance(stream, io.TextIOWrapper) else stream
