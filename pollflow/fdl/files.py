"""Read files that others have written: a pipe or a device among them would hang the reader, or never end."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from pathlib import Path

_PIPES_OF_COMMAND = re.compile(r"/dev/(stdin|fd/\d+)|/proc/self/fd/\d+")
"""Paths of pipes that a command is given: `/dev/stdin`, and what a shell passes for `<(…)`."""
_CHUNK_BYTES = 1 << 20


def read_file(path: str | os.PathLike[str], max_bytes: float, *, may_be_pipe: bool = True) -> bytes:
    """Return the content of a file; of a larger file only `max_bytes` and a little more, which is enough to refuse it.

    `may_be_pipe` allows a pipe of the command; not for a path that a file names. Raises OSError, also if the path is
    neither a file nor such a pipe.
    """
    is_pipe = may_be_pipe and _PIPES_OF_COMMAND.fullmatch(os.fspath(path)) is not None
    # O_NONBLOCK: opening a named pipe would wait for a writer.
    with open(path, "rb", opener=None if is_pipe else _open_at_once) as file:
        if not is_pipe and not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        content = bytearray()
        # `read` would allocate the whole limit, which may be more than there is memory.
        while len(content) <= max_bytes and (chunk := file.read(_CHUNK_BYTES)):
            content += chunk
        return bytes(content)


def files_below(folder: Path) -> list[Path]:
    """Return the files in a folder and in the folders below it, sorted. Links to folders are not followed."""
    found: list[Path] = []
    folders = [folder]
    while folders:
        with suppress(PermissionError):
            for entry in folders.pop().iterdir():
                if entry.is_file():
                    found.append(entry)
                elif entry.is_dir() and not entry.is_symlink():
                    folders.append(entry)
    return sorted(found)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
