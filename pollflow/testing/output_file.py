"""Write a file whose name a user has chosen, in a folder that may be the checkout of a stranger."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_DEVICES = "/dev/"
"""Where the path of `/dev/stdout` begins, which is a link that no checkout can contain."""


def open_output(path: str | Path) -> BinaryIO:
    """Open a file for writing, empty, with the mode that the umask gives.

    Raises OSError if the file is a link or a hard link, is a pipe or no file, or if a link in its path leads out of the
    current folder: a file elsewhere would be changed, or the command would wait.
    """
    if os.fspath(path).startswith(_DEVICES):
        return Path(path).open("wb")
    here = Path.cwd()
    is_below = Path(os.path.abspath(path)).is_relative_to(here)  # noqa: PTH100 - the path as written, links apart
    if is_below and not Path(path).absolute().parent.resolve().is_relative_to(here):
        raise OSError(errno.EINVAL, "a link in its path leads out of the current folder")
    return open(path, "wb", opener=_opener)


def _opener(path: str, flags: int) -> int:
    if Path(path).is_symlink():
        raise OSError(errno.ELOOP, "it is a link")
    descriptor = os.open(path, (flags | os.O_NOFOLLOW | os.O_NONBLOCK) & ~os.O_TRUNC, 0o666)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        if found.st_nlink > 1:
            raise OSError(errno.EMLINK, "it has a second name (a hard link)")
        os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
