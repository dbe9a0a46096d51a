"""Log lines that are safe to read: of pollflow's loggers, and URLs in all lines that a worker logs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from pollflow.printable import clean_log, without_passwords

HIDE = "pollflow_hide"
"""The attribute of a record that masks texts by the data of its call."""

MAX_TEXT = 32_000
"""The most characters of a message or traceback: an API may answer with megabytes, which an exception then quotes."""

hide: ContextVar[Callable[[str], str] | None] = ContextVar("pollflow_hide", default=None)
"""Masks texts by the data of the step that this thread runs."""


def masked(text: str) -> str:
    """Return a text with the secrets of the step that this thread runs masked."""
    return (hide.get() or _unchanged)(text)


class _SafeLines(logging.Filter):
    """Shortens long texts, escapes control characters, indents further lines, and masks secrets."""

    def filter(self, record: logging.LogRecord) -> bool:
        mask = vars(record).pop(HIDE, None) or masked
        _rewrite(record, lambda text: without_passwords(mask(text)), _safe)
        return True


class _Passwords(logging.Filter):
    """Masks the passwords of URLs in lines of any logger, such as those of Celery and redis-py."""

    def filter(self, record: logging.LogRecord) -> bool:
        _rewrite(record, without_passwords, _unchanged)
        return True


_SAFE_LINES, _PASSWORDS = _SafeLines(), _Passwords()


def protect_logs() -> None:
    """Let the lines of pollflow's loggers be safe. Doing it again changes nothing."""
    for name in ("pollflow", "pollflow.function"):
        logging.getLogger(name).addFilter(_SAFE_LINES)


def protect_handlers(logger: Any = None, **_: Any) -> None:
    """Mask the passwords of URLs in all lines of a worker: a receiver of Celery's signal `after_setup_logger`."""
    for handler in logger.handlers if logger is not None else ():
        handler.addFilter(_PASSWORDS)


def _rewrite(record: logging.LogRecord, mask: Callable[[str], str], clean: Callable[[str], str]) -> None:
    try:
        text = record.getMessage()
    except Exception:  # the handler reports arguments that do not fit their message
        return
    shown = clean(mask(text))
    if shown != text:
        record.msg, record.args = shown, None
    if not record.exc_info and not record.exc_text:
        return
    try:
        trace = record.exc_text or logging.Formatter().formatException(record.exc_info)  # type: ignore[arg-type]
    except Exception:
        record.exc_info = None  # an exception of a user that cannot be formatted
        return
    masked = mask(trace)
    record.exc_text = clean(masked)
    if masked != trace:
        record.exc_info = None  # a handler that formats the exception itself would show the secret


def _safe(text: str) -> str:
    """Return a masked text that is safe to read: its beginning and its end, if it is long."""
    left_out = len(text) - MAX_TEXT
    if left_out > 0:
        half = MAX_TEXT // 2
        text = f"{text[:half]}\n… {left_out:,} characters are left out …\n{text[-half:]}"
    return clean_log(text)


def _unchanged(text: str) -> str:
    return text
