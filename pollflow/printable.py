"""Text that is safe to print: no character controls a terminal or hides, no text begins a line, no URL has a password.

Names, causes, inputs and file contents come from others. A terminal executes control characters, shows text after a
bidirectional control in another order, and shows invisible characters not at all. So everything that is printed or
logged passes one of these functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

MASK = "***"
"""What is printed in place of a secret."""

_INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\U000e0000-\U000e0fff"
"""Characters that are shown as nothing although Python counts them as printable: fillers and variation selectors."""
# Of the printable ASCII characters none is escaped, so most texts pass this search and no other.
_SUSPECT = re.compile("[^\n -~]+")
_SUSPECT_IN_LINE = re.compile("[^ -~]+")
_FILLER = re.compile(f"[{_INVISIBLE}]")
_INDENT = " " * 4

_WORD = re.compile(r"(?:[^\s\"\\]|\\.)+")
"""What may be a URL: text without blanks, in JSON too."""
_COLON, _SLASH, _AT = r"(?::|%(?:25)*3A)", r"(?:\\?/|%(?:25)*2F)", r"(?:@|%(?:25)*40)"
"""The marks of a URL, also in JSON that escapes slashes, and quoted once or more as a part of another URL."""
_URL = re.compile(rf"(?i){_COLON}{_SLASH}{{2}}")
# In all schemes but http, a password may contain a / or @ that should have been written as %2F or %40.
_LENIENT = re.compile(r"(?i)(?<!http)(?<!https):(?:\\?/){2}[^\s/?#:\"]*:")
_USER_INFO = re.compile(
    r"(?i)(://[^\s/?#:\"]*:)(?:[^\s\"\\/]|\\.)*(?=@)"
    rf"|({_COLON}{_SLASH}{{2}}(?:(?!{_COLON}|{_SLASH}|{_AT})[^\s/?#&\"])*{_COLON})"
    rf"(?:(?!{_SLASH})[^\s/&\"])*?(?={_AT})"
)
_OPTION = re.compile(r"(?i)([?&;][a-z0-9_.%-]*(?:password|passwd|pwd)(?:=|%3D))(?:[^\s&\"'\\]|'(?=[\w%])|\\.)+")


def clean(text: str) -> str:
    """Return the text on one line: line ends are blanks; controls, invisible characters and surrogates are escaped."""
    return _escaped(_SUSPECT_IN_LINE, text.replace("\n", " "))


def clean_lines(text: str) -> str:
    """Return the same, but keep line ends: for texts whose lines are made by pollflow."""
    return _escaped(_SUSPECT, text)


def clean_log(text: str) -> str:
    """Return the same with every line after the first one indented, so that no text can imitate a line of a log."""
    return clean_lines(text).replace("\n", f"\n{_INDENT}")


def json_text(value: Any, *, indent: int | None = None, is_ascii: bool = False) -> str:
    """Return JSON in which the same characters are escaped; it decodes to the same value."""
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent)
    return _SUSPECT.sub(lambda found: _shown(found[0], _json_escape), text)


def without_passwords(text: str) -> str:
    """Return the text with `***` in place of the passwords of all URLs in it."""
    shown = _WORD.sub(_without_user_info, text) if _URL.search(text) else text
    return _OPTION.sub(rf"\1{MASK}", shown)


def _without_user_info(found: re.Match[str]) -> str:
    word = found[0]
    end = word.rfind("@")
    start = _LENIENT.search(word, 0, max(end, 0))
    if start is not None:
        word = f"{word[: start.end()]}{MASK}{word[end:]}"
    return _USER_INFO.sub(lambda found: f"{found[1] or found[2]}{MASK}", word)


def _escaped(suspect: re.Pattern[str], text: str) -> str:
    return suspect.sub(lambda found: _shown(found[0], _escape), text)


def _shown(run: str, escape: Callable[[str], str]) -> str:
    if run.isprintable() and not _FILLER.search(run):
        return run
    return "".join(char if char.isprintable() and not _FILLER.match(char) else escape(char) for char in run)


@cache
def _escape(char: str) -> str:
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


@cache
def _json_escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else json.dumps(char)[1:-1]
