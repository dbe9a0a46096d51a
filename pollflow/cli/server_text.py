"""Which server a command uses, as text: for `-v`, and for all its errors. No password is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(slots=True)
class _Known:
    text: str = ""


_known = _Known()


def remember_server(text: str) -> None:
    """Let the errors of this command name the server; an empty text forgets it."""
    _known.text = text


def known_server() -> str:
    """Return the text of the server that this command uses, empty before it is known."""
    return _known.text


def shown_url(url: str) -> str:
    """Return the address and the database of a Redis URL, without user and password."""
    from redis import connection

    parse_url: Any = connection.parse_url  # it has no types
    scheme = urlsplit(url).scheme
    try:
        parts = parse_url(url)
    except ValueError:
        return f"{scheme}://…"
    database = parts.get("db", 0)
    if "path" in parts:
        return f"{scheme}://{parts['path']}?db={database}"
    return f"{scheme}://{parts.get('host', 'localhost')}:{parts.get('port', 6379)}/{database}"
