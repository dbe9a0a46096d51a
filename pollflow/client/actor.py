"""Who uses the client: the name that history and the audit log record. It is a claim, not a proof."""

from __future__ import annotations

import os
import pwd
import socket

from pollflow.runtime import arguments

MAX_LENGTH = 128


def os_user() -> str:
    """Return `USER@HOST`: the operating system's name of the user that runs this process, and of the machine."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"[:MAX_LENGTH]


def actor(by: str | None, default: str) -> str:
    """Return the argument `by`, or the default. Raises InvalidArgument unless it has 1 to 128 characters."""
    return default if by is None else arguments.unicode_text("by", by, minimum=1, maximum=MAX_LENGTH)
