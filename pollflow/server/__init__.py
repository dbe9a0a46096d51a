"""The embedded server: a private Redis for those who have none, alive as long as a project's commands use it.

It knows processes, files and locks. It may not know what is stored in the server, nor who works on it.
"""

from pollflow.server.binary import ServerBinary, find_server
from pollflow.server.embedded import EmbeddedServer
from pollflow.server.project import ProjectServer

__all__ = ["EmbeddedServer", "ProjectServer", "ServerBinary", "find_server"]
