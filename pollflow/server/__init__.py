"""The embedded server: a private Redis for projects without one. It runs as long as a command of the project uses it.

It knows processes, files and locks. It does not know what is stored in the server, nor which workers use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pollflow.lazy import exports

if TYPE_CHECKING:
    from pollflow.server.binary import ServerBinary, find_server
    from pollflow.server.embedded import EmbeddedServer
    from pollflow.server.project import ProjectServer
else:
    __getattr__ = exports(
        __name__,
        {
            "binary": ("ServerBinary", "find_server"),
            "embedded": ("EmbeddedServer",),
            "project": ("ProjectServer",),
        },
    )

__all__ = ["EmbeddedServer", "ProjectServer", "ServerBinary", "find_server"]
