"""Whether this worker was told to stop, for its pool children too: a page of memory that they share since the fork.

A call that is cut off because its worker stops is no sign that the function ends its process. A child that was not
forked sees no stop, and the call counts as lost.
"""

from __future__ import annotations

import mmap

_page = mmap.mmap(-1, 1)


def begin() -> None:
    """A worker begins, and will fork its pool: its page is its own, not that of whoever forked it."""
    global _page
    _page = mmap.mmap(-1, 1)


def set_stopping() -> None:
    """The worker was told to stop. Safe in a signal handler."""
    _page[0] = 1


def is_stopping() -> bool:
    """Whether this process, or the one that it was forked from, was told to stop."""
    return _page[0] == 1
