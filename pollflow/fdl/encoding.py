"""Decode files that people write: UTF-8, with or without a byte order mark."""

from __future__ import annotations

import codecs

_OTHERS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class NotUtf8(ValueError):
    """The bytes are not UTF-8 text. `line` is that of the first byte that is not, from 1."""

    def __init__(self, message: str, line: int) -> None:
        self.message = message
        self.line = line
        super().__init__(message)


def decoded(text: str | bytes) -> str:
    """Return the text without a byte order mark at its start. Raises NotUtf8, also for a text with lone surrogates."""
    try:
        if isinstance(text, str):
            text.encode()
            return text.removeprefix("\ufeff")
        return text.decode("utf-8-sig")
    except UnicodeEncodeError as error:
        lone = ord(error.object[error.start])
        raise NotUtf8(f"not UTF-8 text: U+{lone:04X} is a lone surrogate", _line(error)) from error
    except UnicodeDecodeError as error:
        for mark, name in _OTHERS.items():
            if error.object.startswith(mark):
                raise NotUtf8(f"not UTF-8 text, but {name}; save it as UTF-8", 1) from error
        byte = error.object[error.start]
        raise NotUtf8(f"not UTF-8 text: byte 0x{byte:02x}; save it as UTF-8", _line(error)) from error


def _line(error: UnicodeEncodeError | UnicodeDecodeError) -> int:
    before = error.object[: error.start]
    return (before.count("\n") if isinstance(before, str) else before.count(b"\n")) + 1
