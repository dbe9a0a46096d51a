"""The project and the Redis that a command uses, and a client for as long as the command runs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pollflow.cli.exits import CommandError
from pollflow.cli.interruptions import deferred
from pollflow.server.folders import FOLDER

if TYPE_CHECKING:
    from pollflow.client import Client

ENVIRONMENT = "POLLFLOW_REDIS_URL"
APP_FILE = "worker.py"


@dataclass(frozen=True, slots=True)
class ProjectLocation:
    """The project of a command, and the Redis URL if an option names one."""

    project: Path
    redis_option: str | None = None
    is_nearest: bool = True
    """Whether a command in the current folder uses the same project without `--project`."""

    uses_environment: bool = True
    """Whether POLLFLOW_REDIS_URL applies."""

    @property
    def redis_url(self) -> str | None:
        """The Redis URL of the option or the environment; None means the embedded server."""
        default = os.environ.get(ENVIRONMENT) if self.uses_environment else None
        return self.redis_option or default or None

    def command(self, text: str) -> str:
        """Return a command to type next, with the options that select this project and Redis."""
        words = ["pollflow", text]
        if not self.is_nearest:
            words.append(f"--project {shlex.quote(str(self.project))}")
        if self.redis_option:
            # The URL may contain a password.
            words.append(f"--redis {shlex.quote(self.redis_option) if '@' not in self.redis_option else '…'}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Session:
    """A client and the URL of its Redis."""

    client: Client
    url: str
    location: ProjectLocation
    is_embedded: bool
    worker_environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for the workers, added to those of the command."""


def find_location(redis: str | None, project: Path | None, *, near: Path | None = None) -> ProjectLocation:
    """Return the location that the options name, else the project nearest to a file or to the current folder."""
    here = nearest_project(Path.cwd())
    if project is None:
        project = nearest_project(near.absolute().parent) if near is not None else here
        if near is not None and not (project / APP_FILE).is_file():
            project = here
    project = project.absolute()
    return ProjectLocation(project, redis, project == here)


def find_used_location(redis: str | None, project: Path | None) -> ProjectLocation:
    """Return the location as `find_location` does. Raises CommandError if there is neither a Redis nor a project."""
    location = find_location(redis, project)
    markers = (location.project / APP_FILE, location.project / FOLDER)
    if location.redis_url is None and not any(marker.exists() for marker in markers):
        raise CommandError(
            f"no pollflow project ({APP_FILE}) found in {location.project} or its parent folders\n"
            "  --project DIR         use the project in this folder\n"
            f"  --redis URL           use this Redis (or set {ENVIRONMENT})\n"
            "  pollflow init DIR     write a new project"
        )
    return location


def nearest_project(folder: Path) -> Path:
    """Return the folder or its nearest parent with a `worker.py`; the folder itself if there is none."""
    for candidate in (folder, *folder.parents):
        if (candidate / APP_FILE).is_file():
            return candidate
    return folder


@contextmanager
def connected(location: ProjectLocation) -> Iterator[Session]:
    """Open a session. The embedded server, if it is needed, runs as long as any command uses it."""
    from pollflow.client import Client  # imports redis, which help pages do not need

    with ExitStack() as stack:
        url = location.redis_url
        is_embedded = url is None
        if url is None:
            url = stack.enter_context(_embedded_url(location.project))
        client = Client(url)
        stack.callback(client.close)
        yield Session(client, url, location, is_embedded)


@contextmanager
def _embedded_url(project: Path) -> Iterator[str]:
    from pollflow.server import ProjectServer  # imports redis

    server, is_entered = ProjectServer(project), False
    try:
        with deferred():
            server.__enter__()
            is_entered = True
        yield server.url
    finally:
        if is_entered:
            with deferred():
                server.__exit__(None, None, None)
