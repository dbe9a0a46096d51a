"""The one reading of Redis URLs: `RedisLocation`, for the state of pollflow and the broker of Celery alike.

redis-py and kombu read the same URL in different ways: kombu knows `redis+socket://`, redis-py `unix://`; one takes the
database from `db`, the other from `virtual_host`; what one of them does not know it ignores, or fails with a TypeError.
Here each form is either read or refused, and no error shows a password.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from pollflow.errors import InvalidArgument

FORMS = "redis://HOST:PORT/DB, rediss://…, unix:///PATH?db=N or redis+socket:///PATH?virtual_host=N"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 6379

_SOCKETS = ("unix", "redis+socket")
_SCHEMES = ("redis", "rediss", *_SOCKETS)
_REQUIREMENTS = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}
_MAX_SECONDS = 86_400.0
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_WORDS = {"true": True, "false": False}


def certificate_requirement(value: Any) -> ssl.VerifyMode:
    """Return the value of `ssl_cert_reqs`: CERT_NONE, none, … or a constant of `ssl`. Raises ValueError."""
    if isinstance(value, str):
        return _REQUIREMENTS[value.lower().removeprefix("cert_")]
    return ssl.CERT_NONE if value is None else ssl.VerifyMode(value)


def _flag(text: str) -> bool:
    return _FLAGS[text.lower()]


def _word(text: str) -> bool:
    return _WORDS[text.lower()]  # kombu takes any other text for true


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= _MAX_SECONDS:
        raise ValueError
    return seconds


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


TLS_OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "ssl_cert_reqs": certificate_requirement,
    "ssl_check_hostname": _word,
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_ca_data": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_password": str,
    "ssl_ciphers": str,
}
"""The options of TLS by name, as redis-py and Celery's `broker_use_ssl` name them, each with its reader."""

_OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "client_name": str,
    "health_check_interval": _natural,
    "max_connections": _natural,
    "socket_connect_timeout": _seconds,
    "socket_keepalive": _flag,
    "socket_timeout": _seconds,
}


@dataclass(frozen=True, slots=True)
class RedisLocation:
    """A database of a Redis server, and how to connect to it. Locations are equal if they name the same database.

    Hosts are compared by name, not by address: `localhost` and `127.0.0.1` may be two servers. `path` is that of a unix
    socket; then host and port mean nothing. `tls` holds the options of TLS; None means without TLS. An empty `tls`
    verifies the certificate of the server.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    path: str = ""
    database: int = 0
    username: str | None = field(default=None, compare=False, repr=False)
    password: str | None = field(default=None, compare=False, repr=False)
    tls: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    credential_provider: Any = field(default=None, compare=False, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", _canonical(self.host))

    @classmethod
    def parse(cls, url: str) -> RedisLocation:
        """Read a URL. Raises InvalidArgument, which says what to write instead and shows no password."""
        parts = _split(url)
        query = _query(parts)
        _refuse_ignored(parts.scheme, query)
        is_socket = parts.scheme in _SOCKETS
        database = _database(query, "" if is_socket else parts.path)
        username, password = query.pop("username", None), query.pop("password", None)
        provider = query.pop("credential_provider", None)
        tls, options = _options(query, is_tls=parts.scheme == "rediss")
        return cls(
            host=DEFAULT_HOST if is_socket else unquote(parts.hostname or "") or DEFAULT_HOST,
            port=DEFAULT_PORT if is_socket else parts.port or DEFAULT_PORT,
            path=_socket_path(parts) if is_socket else "",
            database=database,
            username=unquote(parts.username or "") or username,
            password=unquote(parts.password or "") or password,
            tls=tls,
            credential_provider=provider,
            options=options,
        )

    def is_probably(self, other: RedisLocation) -> bool:
        """Return whether both name the same database if `localhost` is 127.0.0.1, as on almost every machine."""
        mine, theirs = (
            replace(each, host=DEFAULT_HOST) if each.host == "localhost" else each for each in (self, other)
        )
        return mine == theirs

    def completed_by(self, other: RedisLocation) -> RedisLocation:
        """Return the location with TLS and credentials of `other`, the same database, where this one has none."""
        completed = self if self.tls is not None else replace(self, tls=other.tls)
        if self.username or self.password or self.credential_provider:
            return completed
        return replace(
            completed,
            username=other.username,
            password=other.password,
            credential_provider=other.credential_provider,
        )

    def __str__(self) -> str:
        """The URL without credentials and options, for messages."""
        if self.path:
            return f"unix://{self.path}?db={self.database}"
        return f"redis{'' if self.tls is None else 's'}://{self._address()}/{self.database}"

    def state_url(self) -> str:
        """Return the URL, with the password, for the state of pollflow. Raises InvalidArgument if none can say it."""
        if self.path:
            return self._url("unix", quote(self.path), {"db": self.database, **self.options})
        return self._url(self._scheme(), f"{self._address()}/{self.database}", {**(self.tls or {}), **self.options})

    def broker_url(self) -> str:
        """Return the URL, with the password, for a Celery broker. Raises InvalidArgument if none can say it."""
        if self.path:
            return self._url("redis+socket", quote(self.path), {"virtual_host": self.database})
        # Celery would not verify a certificate unless the URL says so.
        tls = {} if self.tls is None else {"ssl_cert_reqs": ssl.CERT_REQUIRED, **self.tls}
        return self._url(self._scheme(), f"{self._address()}/{self.database}", tls)

    def client_options(self) -> dict[str, Any]:
        """Return the arguments of `redis.Redis` that connect to this database."""
        place: dict[str, Any] = {"unix_socket_path": self.path} if self.path else {"host": self.host, "port": self.port}
        if self.credential_provider is None:
            place |= {"username": self.username, "password": self.password}
        else:
            place["credential_provider"] = _instance(self.credential_provider)
        tls = {} if self.tls is None else {"ssl": True, **_with_hostname_check(self.tls)}
        return {**place, "db": self.database, **tls, **self.options}

    def _scheme(self) -> str:
        return "redis" if self.tls is None else "rediss"

    def _address(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else quote(self.host, safe='')}:{self.port}"

    def _url(self, scheme: str, rest: str, options: Mapping[str, Any]) -> str:
        credentials = quote(self.username or "", safe="")
        if self.password:
            credentials += f":{quote(self.password, safe='')}"
        query = {name: _text(name, value) for name, value in options.items() if value is not None}
        if self.credential_provider is not None:
            query["credential_provider"] = _text("credential_provider", self.credential_provider)
        before, after = f"{credentials}@" if credentials else "", f"?{urlencode(query)}" if query else ""
        return f"{scheme}://{before}{rest}{after}"


def hidden(url: str) -> str:
    """Return a URL without what may contain a password: only its scheme, or without one only what follows an @."""
    scheme, separator, _ = url.partition("://")
    return f"{scheme}://…" if separator else url.rpartition("@")[2]


def _split(url: str) -> SplitResult:
    if not isinstance(url, str):
        raise InvalidArgument(f"a Redis URL must be a text, not {type(url).__name__}; use {FORMS}")
    if ";" in url or "," in url.partition("?")[0].rpartition("@")[2]:
        raise InvalidArgument(f"{hidden(url)} names several hosts, or a ; that must be written as %3B; use {FORMS}")
    try:
        parts = urlsplit(url)
        # Without its slashes, `redis:6379` of a compose file would name the database 379 of this machine.
        has_slashes = url.lower().startswith(f"{parts.scheme}://")
        is_url = has_slashes and parts.scheme in _SCHEMES and (parts.port is None or parts.port > 0)
    except ValueError:  # its text may contain a part of the password
        is_url = False
    if not is_url or any(not character.isprintable() or character == " " for character in url):
        raise InvalidArgument(f"{hidden(url)!r} is not a Redis URL; use {FORMS}")
    if "#" in url:
        raise InvalidArgument(f"a # in a Redis URL must be written as %23; use {FORMS}")
    return parts


def _query(parts: SplitResult) -> dict[str, str]:
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:  # the text may be the end of a password that contains a ? instead of %3F
        raise InvalidArgument(f"the options of a Redis URL must be NAME=VALUE; use {FORMS}") from None
    query = dict(pairs)
    for name, value in pairs:
        if value == "" or query[name] != value:
            raise InvalidArgument(f"the option {name} of a Redis URL must have one value")
    return query


def _refuse_ignored(scheme: str, query: Mapping[str, str]) -> None:
    """Raise InvalidArgument for options that Celery or redis-py would ignore in this form."""
    remedies = {"virtual_host": "db="}
    if scheme == "redis+socket":
        credentials = "redis+socket://USER:PASSWORD@/PATH"
        remedies = {"db": "virtual_host=", "username": credentials, "password": credentials}
    for name, remedy in remedies.items():
        if name in query:
            raise InvalidArgument(f"{name}= has no effect in a {scheme}:// URL; write {remedy}")


def _database(query: dict[str, str], path: str) -> int:
    """Return the number of the database, and remove it from the query."""
    by_option = query.pop("db", None) or query.pop("virtual_host", None)
    by_path = path[1:].removeprefix("/") or None
    for text in (by_option, by_path):
        if text is not None and not (text.isascii() and text.isdigit()):
            # The message does not show the path: it may be the end of a password that contains a / instead of %2F.
            raise InvalidArgument(f"the database of a Redis URL must be a number; use {FORMS}")
    if by_option is not None and by_path is not None and int(by_option) != int(by_path):
        raise InvalidArgument(f"the Redis URL names two databases, /{by_path} and db={by_option}")
    return int(by_option or by_path or 0)


def _canonical(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return host.lower()


def _socket_path(parts: SplitResult) -> str:
    if parts.hostname or parts.port or not parts.path.startswith("/"):
        raise InvalidArgument(f"a URL of a unix socket has three slashes: {parts.scheme}:///PATH")
    return unquote(parts.path)


def _options(query: Mapping[str, str], *, is_tls: bool) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
    tls: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, text in query.items():
        read, found = (TLS_OPTIONS.get(name), tls) if name.startswith("ssl_") else (_OPTIONS.get(name), options)
        if read is None:
            known = ", ".join(("db", "credential_provider", *_OPTIONS, *TLS_OPTIONS))
            raise InvalidArgument(f"unknown option {name!r} of a Redis URL; known: {known}")
        if name in TLS_OPTIONS and not is_tls:
            raise InvalidArgument(f"the option {name} needs a rediss:// URL")
        try:
            found[name] = read(text)
        except (KeyError, ValueError):
            raise InvalidArgument(f"the option {name} of a Redis URL cannot be {text!r}") from None
    return tls if is_tls else None, options


def _with_hostname_check(tls: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with a check of the host name, which is not the default of redis-py before version 6.

    Python refuses it where no certificate is verified: there is no name to compare.
    """
    if "ssl_cert_reqs" in tls and certificate_requirement(tls["ssl_cert_reqs"]) is ssl.CERT_NONE:
        return {**tls, "ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False}
    return {"ssl_check_hostname": True, **tls}


def _text(name: str, value: Any) -> str:
    if isinstance(value, ssl.VerifyMode):
        return value.name
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise InvalidArgument(f"{name} is an object, which cannot be written in a URL")


def _instance(provider: Any) -> Any:
    """Return a credential provider: the object itself, or an instance of the class with that dotted name."""
    if not isinstance(provider, str):
        return provider
    from importlib import import_module

    module, _, name = provider.replace(":", ".").rpartition(".")
    try:
        return getattr(import_module(module), name)()
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidArgument(f"credential_provider={provider} cannot be imported: {error}") from error
