"""File locks that the kernel releases when the process ends, however it ends.

The library filelock has no shared locks that child processes inherit, so pollflow uses `flock` itself.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pollflow.server import private


class FileLock:
    """A `flock` on a file, shared or exclusive.

    A child process that inherits `fileno()` owns the lock too. The lock is free when all owners have closed the file.
    """

    def __init__(self, path: Path) -> None:
        self._file = private.opener(str(path), os.O_RDWR | os.O_CREAT)

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

    def unlock(self) -> None:
        """Release the lock, also for child processes, and keep the file open."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def release(self) -> None:
        """Release the lock, also for child processes, and close the file."""
        self.unlock()
        self.close()

    def is_free(self) -> bool:
        """Return whether no process has the exclusive lock. This object must not have it either."""
        if not self.try_acquire_shared():
            return False
        self.unlock()
        return True

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Have the exclusive lock during the block."""
        self.acquire()
        try:
            yield
        finally:
            self.unlock()

    def close(self) -> None:
        """Close the file in this process. A child process that inherited it keeps the lock."""
        os.close(self._file)
