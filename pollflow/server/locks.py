"""File locks that the kernel releases when the process ends, however it ends.

The library filelock has no shared locks that child processes inherit, so pollflow uses `flock` itself.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FileLock:
    """A `flock` on a file, shared or exclusive.

    A child process that inherits `fileno()` owns the lock too. The lock is free when all owners have closed the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def fileno(self) -> int:
        """Return the descriptor, for a child process."""
        return self._file

    def acquire_shared(self) -> None:
        """Acquire the shared lock. Waits while another process has the exclusive lock."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def acquire(self) -> None:
        """Acquire the exclusive lock. Waits for all other processes."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def try_acquire_shared(self) -> bool:
        """Acquire the shared lock. Return False if another process has the exclusive lock."""
        return self._try(fcntl.LOCK_SH)

    def try_acquire(self) -> bool:
        """Acquire the exclusive lock. Return False if another process has it; a shared lock may be lost then."""
        return self._try(fcntl.LOCK_EX)

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Release the lock, also for child processes, and close the file."""
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self.close()

    def close(self) -> None:
        """Close the file in this process. A child process that inherited it keeps the lock."""
        os.close(self._file)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Acquire the exclusive lock of a file for the block."""
    lock = FileLock(path)
    try:
        lock.acquire()
        yield
    finally:
        lock.close()
