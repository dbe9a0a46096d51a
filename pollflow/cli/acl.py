"""`pollflow acl`: print the Redis users of an app."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pollflow.cli.exits import CommandError
from pollflow.cli.options import ProjectFolder
from pollflow.cli.output import write_line
from pollflow.cli.project_app import REMEDIES, read_app
from pollflow.cli.session import find_location

if TYPE_CHECKING:
    from pollflow.runtime.app import Attached

PLACEHOLDER = "SHA256-OF-THE-PASSWORD"
"""Redis refuses it, so that no user without a password of its own is made."""

ROLES = ("worker", "client", "observer", "flower")


def _valid_role(value: str) -> str:
    if value not in ROLES:
        raise typer.BadParameter(f"it must be one of {', '.join(ROLES)}")
    return value


RoleName = Annotated[str, typer.Argument(metavar="ROLE", callback=_valid_role, help=f"One of: {', '.join(ROLES)}.")]
UserName = Annotated[
    str | None, typer.Option("--user", "-u", metavar="NAME", help="The name of the user. The default is PREFIX-ROLE.")
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, and print its SHA-256.")
]
AsFile = Annotated[bool, typer.Option("--file", help="Print a line of an ACL file instead of the command ACL SETUSER.")]
Server = Annotated[
    str | None,
    typer.Option("--server", metavar="HOST:PORT|PATH", help="Print only the user of this server."),
]
KeyPrefix = Annotated[
    str | None,
    typer.Option(
        "--key-prefix", metavar="PREFIX", help="Import no app: an app with this prefix, and Celery's defaults."
    ),
]
Queues = Annotated[
    list[str] | None,
    typer.Option(
        "--queue", "-Q", metavar="NAME", help="With --key-prefix: the queue of steps; further ones may follow."
    ),
]
Durable = Annotated[bool, typer.Option("--durable", help="Grant what durable starts, stops and reports need.")]


def acl(
    *,
    role: RoleName,
    user: UserName = None,
    password_stdin: PasswordStdin = False,
    file: AsFile = False,
    server: Server = None,
    key_prefix: KeyPrefix = None,
    queue: Queues = None,
    durable: Durable = False,
    project: ProjectFolder = None,
) -> None:
    """Print a Redis user with the least rights of a role.

    Imports the app, unless --key-prefix is given, and connects to no server. The line needs Redis 7.0 or later, or
    Valkey. Standard error says which line is for which server, if there are several.
    """
    from pollflow.runtime.acl import rights_of
    from pollflow.store.acl import Role

    attached = _app(key_prefix, queue or [], project)
    prefix = attached.settings.key_prefix
    name = user or f"{prefix}-{role}"
    if not name.isprintable() or any(character in " \"'()" for character in name):
        raise CommandError(f"the name of a Redis user cannot be {name!r}; use letters, digits, - and _")
    found = rights_of(Role(role), attached, is_durable=durable or attached.settings.durable)
    chosen = [each for each in found if server in (None, each.server)]
    if not chosen:
        raise CommandError(f"the app uses no server {server}; it uses {', '.join(each.server for each in found)}")
    password = _password() if password_stdin else PLACEHOLDER
    for each in chosen:
        if len(found) > 1:
            write_line(f"for {each.server} ({', '.join(each.uses)}):", is_error=True)
        write_line(f"{'user' if file else 'ACL SETUSER'} {each.rights.rule(name, f'#{password}')}")
    if not attached.broker.is_redis and role != "observer":
        write_line("the broker is no Redis: grant the rights for it there", is_error=True)


def _app(key_prefix: str | None, queues: list[str], project: Path | None) -> Attached:
    from pollflow.runtime.acl import plain_app

    if key_prefix is not None:
        return plain_app(key_prefix, queues)
    if queues:
        raise CommandError("--queue needs --key-prefix; the queues of an app are those of its configuration")
    location = find_location(None, project)
    if location.app is None:
        raise CommandError(
            f"no app is named, whose keys and queues the user may use\n{REMEDIES}\n"
            "  --key-prefix PREFIX   use no app, but this prefix and Celery's defaults"
        )
    return read_app(location.app, location.project)


def _password() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise CommandError("--password-stdin: standard input has no password in its first line")
    return hashlib.sha256(password.encode("utf-8", "surrogateescape")).hexdigest()
