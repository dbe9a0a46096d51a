"""Which server a command uses, as text: for `-v`, and for all its errors. No password is shown."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from pollflow.errors import InvalidArgument


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
    from pollflow.store import RedisLocation

    try:
        return str(RedisLocation.parse(url))
    except InvalidArgument:
        return f"{urlsplit(url).scheme}://…"
