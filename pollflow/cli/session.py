"""The project, the app and the Redis that a command uses, and a client for as long as the command runs.

- An isolated command (`run`, `demo`, `--isolated`) replaces the broker and the state of the app by the embedded server,
  or by keys of its own on the Redis of `--redis`.
- Any other command uses what the app uses. Without an app it uses `--redis`, else POLLFLOW_REDIS_URL.
- Only where no Redis is configured, the embedded server takes its place: `worker` starts it, other commands use it
  while it runs.
"""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import blake2s
from pathlib import Path
from typing import TYPE_CHECKING

from pollflow.cli.exits import CommandError
from pollflow.cli.interruptions import deferred
from pollflow.cli.output import write_line
from pollflow.cli.project_app import APP_FILE, AppName, find_app_name, import_app, is_project, nearest_project
from pollflow.cli.selection import selection
from pollflow.cli.server_text import remember_server, shown_url
from pollflow.errors import RedisNotConfigured
from pollflow.printable import without_passwords
from pollflow.server.folders import FOLDER

if TYPE_CHECKING:
    from pollflow.client import AuditEntry, Client, Execution
    from pollflow.runtime.app import Attached

ENVIRONMENT = "POLLFLOW_REDIS_URL"
DEFAULT_PREFIX = "pollflow"
NOT_CONFIGURED = f"""\
  {ENVIRONMENT}=URL    the Redis of the app and its workers
  -A MODULE[:NAME]          the Celery app that names its Redis
  pollflow worker           start the embedded server, with a worker
  --isolated                use the isolated server, where `pollflow run` keeps its executions"""


@dataclass(frozen=True, slots=True)
class ProjectLocation:
    """The project and the app of a command, and the Redis URL if an option names one."""

    project: Path
    redis_option: str | None = field(default=None, repr=False)
    app: AppName | None = None
    is_nearest: bool = True
    """Whether a command in the current folder uses the same project without `--project`."""

    is_isolated: bool = False

    @property
    def redis_url(self) -> str | None:
        """The Redis URL of the option or the environment."""
        return self.redis_option or os.environ.get(ENVIRONMENT) or None

    def command(self, text: str) -> str:
        """Return a command to type next, with the options that select this app, project and Redis."""
        words = ["pollflow", text]
        if self.app is not None and self.app.is_option:
            words.append(f"-A {shlex.quote(self.app.name)}")
        if not self.is_nearest:
            words.append(f"--project {shlex.quote(str(self.project))}")
        if self.is_isolated and not text.startswith("run "):  # `run` is always isolated
            words.append("--isolated")
        if self.redis_option:
            has_password = "@" in self.redis_option or without_passwords(self.redis_option) != self.redis_option
            words.append(f"--redis {'…' if has_password else shlex.quote(self.redis_option)}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Session:
    """A client, the URL of its Redis, and the app if there is one."""

    client: Client
    url: str = field(repr=False)
    location: ProjectLocation
    origin: str
    """Where the URL comes from."""

    key_prefix: str
    app: Attached | None = None
    is_embedded: bool = False
    worker_environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for the workers, added to those of the command."""

    def shown(self, execution: Execution, *, is_unmasked: bool) -> Execution:
        """Return an execution as commands print it: masked by the setting of the app, or of the registered workers."""
        from pollflow.cli.masked import MaskedExecution, masked
        from pollflow.runtime.masking import Hider, Mask

        if isinstance(execution, MaskedExecution):  # its hider has learned more since
            return masked(execution, execution.hider)
        return masked(execution, Hider(None if is_unmasked else Mask.of(self.client.settings.mask)))

    def shown_audit(self, entry: AuditEntry) -> AuditEntry:
        """Return an entry of the audit log as commands print it: without task tokens in what a user wrote.

        Its execution may be gone, so no values of the data are known.
        """
        from pollflow.runtime.masking import Hider, Mask

        hider = Hider(Mask.of(self.client.settings.mask))
        return replace(entry, by=hider.text(entry.by), error=hider.text(entry.error))

    def __str__(self) -> str:
        app = "no app" if self.location.app is None else f"app {self.location.app}"
        isolated = "isolated; " if self.location.is_isolated else ""
        return f"server: {isolated}{shown_url(self.url)} (from {self.origin}), key prefix {self.key_prefix}, {app}"


def find_location(
    redis: str | None, project: Path | None, *, near: Path | None = None, is_isolated: bool = False
) -> ProjectLocation:
    """Return the location that the options name, else the project nearest to a file or to the current folder."""
    here = nearest_project(Path.cwd())
    if project is None:
        project = nearest_project(near.absolute().parent) if near is not None else here
        if near is not None and not is_project(project):
            project = here
    project = project.absolute()
    app = find_app_name(selection.app, project)
    return ProjectLocation(project, redis, app, project == here, is_isolated or selection.isolated)


def find_used_location(redis: str | None, project: Path | None) -> ProjectLocation:
    """Return the location as `find_location` does. Raises CommandError if nothing names an app or a Redis."""
    location = find_location(redis, project)
    if location.redis_url is None and location.app is None and not (location.project / FOLDER).exists():
        raise CommandError(
            f"no pollflow project ({APP_FILE}, or a pyproject.toml that names the app) found in {location.project} "
            "or its parent folders\n"
            "  -A MODULE[:NAME]      use this Celery app (or set POLLFLOW_APP)\n"
            "  --project DIR         use the project in this folder\n"
            f"  --redis URL           use this Redis (or set {ENVIRONMENT})\n"
            "  pollflow init DIR     write a new project"
        )
    return location


@contextmanager
def connected(location: ProjectLocation, *, starts_server: bool = False) -> Iterator[Session]:
    """Open a session. `starts_server`: start the embedded server if no Redis is configured."""
    with ExitStack() as stack:
        if location.is_isolated:
            session = _isolated(location, stack)
        elif location.app is not None:
            session = _of_app(location, location.app, stack, starts_server)
        else:
            session = _without_app(location, stack)
        stack.callback(session.client.close)
        remember_server(str(session))
        if selection.verbose:
            write_line(str(session), is_error=True)
        yield session


def _isolated(location: ProjectLocation, stack: ExitStack) -> Session:
    from pollflow.client import Client
    from pollflow.runtime.isolation import Isolation

    url, prefix, origin = location.redis_option, None, "--redis"
    if url is None:
        url, origin = stack.enter_context(_embedded_url(location.project)), _embedded_name(location.project)
    else:
        prefix = _own_prefix(location.project)
    stack.enter_context(_environment(Isolation(url, prefix).variables()))
    app = import_app(location.app, location.project) if location.app is not None else None
    client = Client(app.app) if app is not None else Client(url, key_prefix=prefix)
    shown_prefix = app.settings.key_prefix if app is not None else prefix or DEFAULT_PREFIX
    return Session(client, url, location, origin, shown_prefix, app, location.redis_option is None)


def _of_app(location: ProjectLocation, name: AppName, stack: ExitStack, starts_server: bool) -> Session:
    from pollflow.client import Client

    configured, is_embedded = location.redis_url, False
    origin = "--redis" if location.redis_option else ENVIRONMENT
    if location.redis_option:
        stack.enter_context(_environment({ENVIRONMENT: location.redis_option}))
    try:
        app = import_app(name, location.project)
    except RedisNotConfigured as error:
        url = stack.enter_context(_embedded_url(location.project, starts=starts_server, why=f" by the app {name}"))
        stack.enter_context(_environment({ENVIRONMENT: url}))
        app = import_app(name, location.project)
        if not app.container.routes.in_script:
            raise CommandError(
                f"the app {name} has no broker; give it one: Celery(…, broker=os.environ.get({ENVIRONMENT!r}))"
            ) from error
        is_embedded, origin = True, _embedded_name(location.project)
    _check_agreement(app, name, configured, origin)
    if not is_embedded and (configured is None or app.is_url_explicit):
        origin = "the app"
    # With --redis, the workers of that Redis have said where messages go; the broker of the app may be another one.
    url = app.location.state_url()
    client = Client(url, key_prefix=app.settings.key_prefix) if location.redis_option else Client(app.app)
    return Session(client, url, location, origin, app.settings.key_prefix, app, is_embedded)


def _without_app(location: ProjectLocation, stack: ExitStack) -> Session:
    from pollflow.client import Client

    url, origin = location.redis_url, "--redis" if location.redis_option else ENVIRONMENT
    if url is None:
        url = stack.enter_context(_embedded_url(location.project, starts=False, why=""))
        origin = _embedded_name(location.project)
    client = Client(url, key_prefix=DEFAULT_PREFIX)
    return Session(client, url, location, origin, DEFAULT_PREFIX, None, location.redis_url is None)


def _check_agreement(app: Attached, name: AppName, configured: str | None, origin: str) -> None:
    """Raise CommandError if the app itself names another Redis than the option or the environment."""
    from pollflow.store import RedisLocation

    if configured and app.is_url_explicit and not RedisLocation.parse(configured).is_probably(app.location):
        raise CommandError(
            f"two different Redises are configured for the state of executions\n"
            f"  {app.location}  by the app {name}\n"
            f"  {shown_url(configured)}  by {origin}\n"
            "remove one of them; --isolated --redis URL uses the other Redis apart from the app"
        )


def _own_prefix(project: Path) -> str:
    """Return the key prefix of a project's isolated executions on a shared Redis."""
    return f"run-{blake2s(f'{platform.node()}:{project}'.encode(), digest_size=4).hexdigest()}"


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the app and for the workers during the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _embedded_name(project: Path) -> str:
    return f"the embedded server in {project / FOLDER}"


@contextmanager
def _embedded_url(project: Path, *, starts: bool = True, why: str = "") -> Iterator[str]:
    from pollflow.server import ProjectServer  # imports redis

    server, is_entered = ProjectServer(project), False
    try:
        with deferred():
            if not starts and not server.is_running():
                raise CommandError(
                    f"no Redis is configured{why}, and the embedded server of {project} is not running\n"
                    f"{NOT_CONFIGURED}"
                )
            server.__enter__()
            is_entered = True
        yield server.url
    finally:
        if is_entered:
            with deferred():
                server.__exit__(None, None, None)
