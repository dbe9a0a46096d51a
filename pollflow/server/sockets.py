"""Where the embedded server listens: on a unix socket that no other user can reach, replace or make before.

The socket is in the server's own folder, so that it moves with it. Where it cannot be there, it is in a folder of the
user with a short path: the name of a socket has about 100 bytes, and not every file system has sockets or modes.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

from pollflow.errors import ConfigurationError
from pollflow.server import private
from pollflow.server.folders import runtime_folders

NAME = "redis.sock"
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
"""Not every program that takes a URL of a socket decodes other characters: Flower does not."""


def choose_socket(folder: Path) -> Path:
    """Return a path for the socket of the server in a private folder. An earlier socket there is deleted.

    Raises ConfigurationError if there is none.
    """
    own = folder.resolve() / NAME
    if _PLAIN.fullmatch(str(own)) and private.is_closed(own.parent) and _can_listen(own):
        return own
    # The identity of the folder: a moved folder keeps it, and the one that takes its place has another one.
    found = folder.stat()
    for place in runtime_folders():
        path = place / f"{found.st_dev:x}-{found.st_ino:x}.sock"
        if _can_listen(path):
            return path
    raise ConfigurationError(
        f"the embedded server cannot listen on a socket in {path.parent}; set TMPDIR to a folder with a short path"
    )


def _can_listen(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
        path.unlink()
    except OSError:  # the path is too long, or the file system has no sockets
        return False
    return True
