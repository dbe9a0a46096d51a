"""Where a command works: which project, which Redis; and a client there for as long as the command runs."""

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
    """The project that a command works in, and the Redis that it was told to use, if it was."""

    project: Path
    redis_option: str | None = None
    is_nearest: bool = True
    """Whether another command, typed in the same folder, works in the same project unasked."""

    asks_environment: bool = True
    """Whether the environment may name a Redis."""

    @property
    def redis_url(self) -> str | None:
        """The URL that option or environment name; None means the embedded server."""
        named = os.environ.get(ENVIRONMENT) if self.asks_environment else None
        return self.redis_option or named or None

    def command(self, text: str) -> str:
        """A command to type next, with the options that bring it to this place."""
        words = ["pollflow", text]
        if not self.is_nearest:
            words.append(f"--project {shlex.quote(str(self.project))}")
        if self.redis_option:
            # A password that was typed once is not shown again.
            words.append(f"--redis {shlex.quote(self.redis_option) if '@' not in self.redis_option else '…'}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Session:
    """A client, and the URL of the Redis that it speaks to."""

    client: Client
    url: str
    location: ProjectLocation
    is_embedded: bool
    worker_environment: Mapping[str, str] = field(default_factory=dict)
    """What its workers find in their environment besides what the command finds in its own."""


def find_location(redis: str | None, project: Path | None, *, near: Path | None = None) -> ProjectLocation:
    """The place that the options say; unless given, the project nearest to a file or the current folder."""
    here = nearest_project(Path.cwd())
    if project is None:
        project = nearest_project(near.absolute().parent) if near is not None else here
        if near is not None and not (project / APP_FILE).is_file():
            project = here
    project = project.absolute()
    return ProjectLocation(project, redis, project == here)


def find_used_location(redis: str | None, project: Path | None) -> ProjectLocation:
    """As `find_location`, for what has to be there already. Raises NotDone where nothing can be, and makes nothing."""
    location = find_location(redis, project)
    marks = (location.project / APP_FILE, location.project / FOLDER)
    if location.redis_url is None and not any(mark.exists() for mark in marks):
        raise CommandError(
            f"there is no project in {location.project} or above it, so nothing is deployed and nothing runs there\n"
            "  --project DIR         names the folder of one\n"
            f"  --redis URL           names a Redis, as {ENVIRONMENT} does\n"
            "  pollflow init DIR     writes a project to start from"
        )
    return location


def nearest_project(folder: Path) -> Path:
    """The nearest folder upwards that has a `worker.py`; the folder itself if none has."""
    for candidate in (folder, *folder.parents):
        if (candidate / APP_FILE).is_file():
            return candidate
    return folder


@contextmanager
def connected(location: ProjectLocation) -> Iterator[Session]:
    """A session there. The embedded server, if it is needed, lives as long as the commands that use it."""
    from pollflow.client import Client  # imports redis, which help pages do not need

    with ExitStack() as stack:
        url = location.redis_url
        is_embedded = url is None
        if url is None:
            url = stack.enter_context(_serving(location.project))
        client = Client(url)
        stack.callback(client.close)
        yield Session(client, url, location, is_embedded)


@contextmanager
def _serving(project: Path) -> Iterator[str]:
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
