"""Output on streams that cannot encode every character, such as those of an ASCII or GBK locale."""

from __future__ import annotations

import codecs
import io
import sys


def use_escapes() -> None:
    """Print what a stream cannot encode as an escape such as `\\u4e2d`, instead of raising UnicodeEncodeError.

    An ASCII stream is left to click, which takes it for a missing locale and prints UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_unicode() -> bool:
    """Return whether standard output encodes every character. JSON for other encodings is printed in ASCII."""
    try:
        return codecs.lookup(sys.stdout.encoding or "ascii").name.startswith("utf")
    except LookupError:
        return False
