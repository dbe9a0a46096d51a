"""The shutdown flag of a worker, in a page of memory that its forked pool children share.

A call that is interrupted by a shutdown does not count as a crash. A child that was not forked does not see the flag,
and its interrupted call counts.
"""

from __future__ import annotations

import mmap

_page = mmap.mmap(-1, 1)


def begin() -> None:
    """Clear the flag of a worker that starts, before it forks its pool."""
    global _page
    _page = mmap.mmap(-1, 1)


def set_stopping() -> None:
    """Set the flag. Safe in a signal handler."""
    _page[0] = 1


def is_stopping() -> bool:
    """Return whether this process, or the worker that it was forked from, is shutting down."""
    return _page[0] == 1
