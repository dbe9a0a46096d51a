"""Marks of the functions that pool children run: a child is only terminated while it still runs the call to be ended.

The main process learns late that a call has ended, and the child may run another task by then, possibly one that has
nothing to do with pollflow. So a child marks its call in memory that it shares with the main process, before the
function starts, and removes the mark after it. It changes its mark under a lock. The main process holds that lock while
it compares the mark and sends the signal. A child that is to be terminated therefore cannot begin another task before
the signal has reached it.

The lock is a record lock of a file without a name, so it ends with its process. A child that was not forked sees no
marks, and its calls are not terminated.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

_CHILDREN = 1024
"""Children with a higher index have no mark."""
_PID_BYTES, _DIGEST_BYTES = 8, 32
_SIZE = _PID_BYTES + _DIGEST_BYTES
_NO_MARK = bytes(_SIZE)


class CallMarks:
    """One mark per pool child, at the index of the child in its pool."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, _CHILDREN * _SIZE)
        self._locks = _file_of_locks()
        self._index: int | None = None

    def join(self, index: int) -> None:
        """Use the mark at `index` for this process, a new pool child. Its predecessor may have died with a mark."""
        self._index = index if index < _CHILDREN else None
        self._write(_NO_MARK)

    def set(self, token: str) -> None:
        """Mark the call of this child, by the token of its message."""
        self._write(os.getpid().to_bytes(_PID_BYTES, "big") + _digest(token))

    def clear(self) -> None:
        """Remove the mark of this child."""
        self._write(_NO_MARK)

    def end(self, token: str, terminate: Callable[[int], None]) -> bool:
        """Terminate the children that run the call of a message. Return whether there was one.

        A child that is just changing its mark counts as one that does not run the call.
        """
        digest, found = _digest(token), False
        for index in range(_CHILDREN):
            if self._read(index)[_PID_BYTES:] != digest:
                continue
            try:
                with self._locked(index, fcntl.LOCK_NB):
                    mark = self._read(index)
                    if mark[_PID_BYTES:] == digest:
                        terminate(int.from_bytes(mark[:_PID_BYTES], "big"))
                        found = True
            except (BlockingIOError, PermissionError):
                continue
        return found

    def _read(self, index: int) -> bytes:
        return self._page[index * _SIZE : (index + 1) * _SIZE]

    def _write(self, mark: bytes) -> None:
        index = self._index
        if index is None:
            return
        with self._locked(index):
            self._page[index * _SIZE : (index + 1) * _SIZE] = mark

    @contextmanager
    def _locked(self, index: int, flags: int = 0) -> Iterator[None]:
        fcntl.lockf(self._locks, fcntl.LOCK_EX | flags, 1, index)
        try:
            yield
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, index)


def _file_of_locks() -> int:
    # Linux needs no writable folder for it, which a container may lack.
    if hasattr(os, "memfd_create"):
        return os.memfd_create("pollflow-marks")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


_marks: CallMarks | None = None


def begin() -> CallMarks:
    """Make and return the marks of a worker that starts, before it forks its pool; its children share them."""
    global _marks
    _marks = CallMarks()
    return _marks


def current() -> CallMarks | None:
    """Return the marks of the worker that this process belongs to; None outside of a worker."""
    return _marks
