"""Locks on files that the kernel gives up when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FileLock:
    """A `flock` on a file of its own, shared or exclusive.

    A child process that is handed `fileno()` holds the lock too: it is free once all of them have closed it.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def fileno(self) -> int:
        """Return the descriptor, to be passed to a child."""
        return self._file

    def share(self) -> None:
        """Hold it together with others; waits while somebody has it alone."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def take(self) -> None:
        """Hold it alone; waits for all others."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def try_share(self) -> bool:
        """Hold it together with others unless somebody has it alone."""
        return self._try(fcntl.LOCK_SH)

    def try_take(self) -> bool:
        """Hold it alone if nobody else holds it. What was held before may be lost if this fails."""
        return self._try(fcntl.LOCK_EX)

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give it up, for forked children as well, and close the file."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self.close()

    def close(self) -> None:
        """Close the file here; a child that was handed it goes on holding the lock."""
        os.close(self._file)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock of a file alone while the block runs."""
    lock = FileLock(path)
    try:
        lock.take()
        yield
    finally:
        lock.close()
