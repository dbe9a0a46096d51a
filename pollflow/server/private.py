"""Files and folders that belong to their owner alone. There is no other way in which pollflow makes files for itself.

A checkout may contain anything under the names that pollflow uses, and so may a folder where others could write. Links,
hard links and what belongs to another user are refused; what is readable by others becomes private.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from pollflow.errors import ConfigurationError

FOLDER_MODE = 0o700
FILE_MODE = 0o600
_OTHERS = 0o077
_MAX_DEPTH = 50
"""The deepest nesting of folders; Python's own functions that delete folders fail at about a thousand."""
_KINDS = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISSOCK)


def opener(path: str, flags: int) -> int:
    """Open a private file: the `opener` of `open`.

    Raises ConfigurationError for a link or hard link, for what is no file and for a file of another user.
    """
    # Without O_NONBLOCK, a pipe under the name of the file would block the command. Only a checked file is emptied.
    descriptor = _open(path, (flags | os.O_NONBLOCK) & ~os.O_TRUNC)
    try:
        found = os.fstat(descriptor)
        _check(path, found)
        if not stat.S_ISREG(found.st_mode):
            raise _refusal(path, "is not a file")
        if found.st_mode & _OTHERS:
            os.fchmod(descriptor, FILE_MODE)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def make_folder(folder: Path) -> None:
    """Make a private folder, or make an existing one private.

    Raises ConfigurationError for a link, for what is no folder and for a folder of another user.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=FOLDER_MODE)
    try:
        descriptor = _open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except NotADirectoryError:
        raise _refusal(folder, "is not a folder") from None
    try:
        found = os.fstat(descriptor)
        _check(folder, found)
        if found.st_mode & _OTHERS:
            os.fchmod(descriptor, FOLDER_MODE)
    finally:
        os.close(descriptor)


def make_contents_private(folder: Path) -> None:
    """Make everything in a private folder private. Raises ConfigurationError for a link and a thing of another user.

    The server, and libraries that keep files of their own, would follow a link.
    """
    deepest = len(folder.parts) + _MAX_DEPTH
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another command has just deleted it
            _make_private(path, deepest)


def _make_private(path: Path, deepest: int) -> None:
    """Make a thing, and what is in it, private."""
    found = path.lstat()
    _check(path, found)
    if len(path.parts) > deepest:
        raise _refusal(path, "is nested too deeply")
    is_folder = stat.S_ISDIR(found.st_mode)
    if found.st_mode & _OTHERS:
        path.chmod(FOLDER_MODE if is_folder else FILE_MODE)
    for inner in path.iterdir() if is_folder else ():
        with suppress(FileNotFoundError):
            _make_private(inner, deepest)


def is_closed(folder: Path) -> bool:
    """Return whether no other user but root can change the folder, or put another one in its place."""
    owners = {0, os.getuid(), Path("/").lstat().st_uid}  # / belongs to root, also where root has another id
    for parent in folder.parents:
        found = parent.lstat()
        is_shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners or is_shared:
            return False
    found = folder.lstat()
    # Some file systems ignore modes.
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & _OTHERS


def _open(path: str | Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    except OSError:
        with suppress(FileNotFoundError):
            _check(path, Path(path).lstat())
        raise


def _check(path: str | Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise _refusal(path, "is a link")
    if found.st_uid != os.getuid():
        raise _refusal(path, f"belongs to another user (uid {found.st_uid}, not {os.getuid()})")
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        raise _refusal(path, "has a second name (a hard link)")
    if not any(is_kind(found.st_mode) for is_kind in _KINDS):
        raise _refusal(path, "is neither a file nor a folder")


def _refusal(path: str | Path, what: str) -> ConfigurationError:
    return ConfigurationError(f"{path} {what}, so pollflow does not use it; delete it or move it away, and retry")
