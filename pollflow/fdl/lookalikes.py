"""Characters that look like others or like nothing, such as a full-width colon: name them, and say what to type."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_QUOTED = re.compile("\"[^\"]*\"|'[^']*'|`[^`]*`")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_TYPED = {
    **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d\u300e\u300f", '"'),
    **dict.fromkeys("\u2018\u2019\u201a", "'"),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    "\u3001": ",",
    "\u3002": ".",
    "\u3010": "[",
    "\u3011": "]",
    "\ufe55": ":",
    "\u2236": ":",
    "\ua789": ":",
}
"""The ASCII character to type for another one: full-width forms, quotation marks, dashes and CJK punctuation."""
_MAX_TEXT = 2000
_COLON, _INVISIBLE, _QUOTE, _OTHER, _MARK = range(5)
_NAMES = {"\t": "a tab, U+0009"}


def plain(text: str) -> str:
    """Return the text with look-alikes replaced, so that texts that look equal are equal. A long text is unchanged."""
    if len(text) > _MAX_TEXT:  # the normal form of a million accents takes hours
        return text
    kept = (_TYPED.get(char, char) for char in text if not _is_deleted(char))
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in kept)
    return unicodedata.normalize("NFC", spaced).strip()


def hint(text: str) -> str:
    """Return an addition to a message that names a look-alike in the text outside quotes; empty if there is none."""
    found = min(_found(_QUOTED.sub("", text[:_MAX_TEXT])), default=None)
    return "" if found is None else f"; it contains {found[-1]}"


def hint_of_line(line: str, number: int) -> str:
    """Return an addition to a message that names a look-alike in a line of YAML; empty if there is none."""
    found = min(_found(_COMMENT.sub("", _QUOTED.sub("", line[:_MAX_TEXT])), tabs=True), default=None)
    return "" if found is None else f"; line {number} contains {found[-1]}"


def _found(text: str, *, tabs: bool = False) -> Iterator[tuple[int, int, str]]:
    """Yield the look-alikes, each with its rank: the likelier it is the cause of an error, the lower."""
    for position, char in enumerate(text):
        typed = _TYPED.get(char)
        composed = unicodedata.normalize("NFC", text[position - 1 : position + 1]) if position else char
        if typed is not None:
            rank = _COLON if typed == ":" else _QUOTE if typed in "\"'" else _OTHER
            yield rank, position, f"{char} ({_name(char)}): type {typed}"
        elif _is_deleted(char):
            yield _INVISIBLE, position, f"the invisible {_name(char)}: delete it"
        elif char != " " and (unicodedata.category(char) == "Zs" or (tabs and char == "\t")):
            yield _INVISIBLE, position, f"{_NAMES.get(char) or _name(char)}: type a space"
        elif unicodedata.combining(char) and len(composed) == 1:
            what = f'"{composed}" in two characters, the second is {_name(char)}'
            yield _MARK, position, f"{what}: type it as one, {_name(composed)}"


def _is_deleted(char: str) -> bool:
    # Joiners and variation selectors between letters or emoji belong to them.
    return unicodedata.category(char) in ("Cf", "Cc") and char not in "\t\n\r\u200c\u200d"


def _name(char: str) -> str:
    return f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip()
