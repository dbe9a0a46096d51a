"""The error of a step, made from the exception of its function: its names, its cause and its traceback.

Everything here is read from an exception of the user, whose methods and attributes may raise anything.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from traceback import walk_tb
from types import CodeType, TracebackType

import pollflow
from pollflow.errors import StepError
from pollflow.machine import Raised
from pollflow.machine.limits import MAX_CAUSE, MAX_ERROR, shortened
from pollflow.runtime.interruptions import is_interruption, members_of

_MAX_MEMBERS = 50
_MAX_MEMBER = 200
_MAX_FRAMES = 8
_MAX_FRAME = 200
_NO_TEXT = "the error has no text"
_OWN_FOLDERS = tuple(str(Path(str(package.__file__)).parent) + os.sep for package in (pollflow, asyncio))
"""The code around a function, which its traceback leaves out."""


class RaisedElsewhere(StepError):
    """The exception of a function in another process, as the event that `raised_by` returned there."""

    def __init__(self, event: Raised) -> None:
        self.event = event
        super().__init__(event.error, event.cause)


def raised_by(error: BaseException) -> Raised:
    """Return the event for the exception of a function."""
    if type(error) is RaisedElsewhere:
        return error.event
    names = list(dict.fromkeys(name for each in (error, *_all_members(error)) for name in _names_of(each)))
    name, cause = _error_of(error)
    also = tuple(other for other in names if other != name)
    return Raised(name, shortened(cause, MAX_CAUSE), also, _frames_of(error))


def _error_of(error: BaseException) -> tuple[str, str]:
    """Return the error name and the cause; that of a group names its members."""
    own = _name_of(type(error))
    if issubclass(type(error), StepError):
        name = _text(lambda: error.error, own)  # type: ignore[attr-defined]
        return name or own, _text(lambda: error.cause)  # type: ignore[attr-defined]
    text = _text(lambda: error)
    if _is_key_error(error):
        return own, f"{own}: {text}"  # the text is only the key
    members = "; ".join(shortened(_described(member), _MAX_MEMBER) for member in _all_members(error))
    return own, f"{text}: {members}" if members else text


def _described(error: BaseException) -> str:
    """Return the text of a member of a group: its error name and its own message."""
    if issubclass(type(error), StepError) or _is_key_error(error):
        name, cause = _error_of(error)
        return cause if _is_key_error(error) else f"{name}: {cause}"
    return f"{_name_of(type(error))}: {_text(lambda: error)}"


def _is_key_error(error: BaseException) -> bool:
    return type.__getattribute__(type(error), "__str__") is KeyError.__str__


def _names_of(error: BaseException) -> Iterator[str]:
    """Yield the names that `retry` and `catch` match for one exception."""
    if issubclass(type(error), StepError):
        yield _error_of(error)[0]
    yield from (_name_of(base) for base in type.mro(type(error)) if base is not object)


def _name_of(kind: type) -> str:
    return shortened(vars(type)["__name__"].__get__(kind), MAX_ERROR)


def _all_members(error: BaseException) -> list[BaseException]:
    """Return the members of a group, and those of its groups."""
    found: list[BaseException] = []
    left = list(members_of(error))
    while left and len(found) < _MAX_MEMBERS:
        found.append(left.pop(0))
        left = [*members_of(found[-1]), *left]
    return found


def _frames_of(error: BaseException) -> tuple[str, ...]:
    """Return the last frames of the traceback, as `FILE:LINE in FUNCTION`."""
    frames = [(frame.f_code, line) for frame, line in walk_tb(_whole_traceback(error))]
    shown = [each for each in frames if not _is_own(each[0])]
    return tuple(_frame_text(code, line) for code, line in shown[-_MAX_FRAMES:])


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return the traceback from the first frame of the function on, for a log; the whole one if it has none."""
    whole = trace = _whole_traceback(error)
    while trace is not None and _is_own(trace.tb_frame.f_code):
        trace = trace.tb_next
    return trace or whole


def _whole_traceback(error: BaseException) -> TracebackType | None:
    trace: TracebackType | None = vars(BaseException)["__traceback__"].__get__(error)  # a class may override it
    return trace


def _is_own(code: CodeType) -> bool:
    return code.co_filename.startswith(_OWN_FOLDERS)


def _frame_text(code: CodeType, line: int) -> str:
    function = getattr(code, "co_qualname", code.co_name)  # Python 3.10 has no qualified name
    text = f"{_short_path(code.co_filename)}:{line} in {function}"
    return text if len(text) <= _MAX_FRAME else "…" + text[1 - _MAX_FRAME :]


def _short_path(path: str) -> str:
    """Return a path relative to the folder that its module was imported from, else its last two parts."""
    folders = [folder.rstrip(os.sep) + os.sep for folder in sys.path if folder]
    inside = [folder for folder in folders if path.startswith(folder)]
    return path[len(max(inside, key=len)) :] if inside else str(Path(*Path(path).parts[-2:]))


def _text(read: Callable[[], object], default: str = _NO_TEXT) -> str:
    try:
        value = read()
        text = "" if value is None else str(value)
    except BaseException as raised:
        if is_interruption(raised):
            raise
        return default
    return str.__str__(text)  # plain text, also of a subclass
