"""What pollflow knows of the broker of a Celery app, by Celery's own reading of its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from celery import Celery

from pollflow.errors import ConfigurationError, InvalidArgument
from pollflow.store import RedisLocation
from pollflow.store.urls import DEFAULT_HOST, DEFAULT_PORT, TLS_OPTIONS, certificate_requirement, hidden

_REDIS = ("redis", "rediss")
_TRANSPORTS = (*_REDIS, "sentinel")


@dataclass(frozen=True, slots=True)
class Broker:
    """The broker of an app.

    `location` is its Redis database, the same for publishing and consuming; None for any other broker, for sentinels
    and for several hosts, so that scripts cannot publish. `is_redis`: kombu's Redis transport serves it.
    `description` names it for messages, without a password.
    """

    location: RedisLocation | None
    is_redis: bool
    description: str = field(compare=False)

    @classmethod
    def of(cls, app: Celery) -> Broker:
        """Read the broker of an app. Raises ConfigurationError for a URL that Celery cannot use."""
        transport_options(app)
        writing = _read(app, app.conf.broker_write_url or app.conf.broker_url)
        reading = _read(app, app.conf.broker_read_url or app.conf.broker_url)
        return writing if writing == reading else cls(None, writing.is_redis, writing.description)


def transport_options(app: Celery) -> Mapping[str, Any]:
    """Return `broker_transport_options`. Raises ConfigurationError if they are no dict, or have no usable prefix."""
    options = app.conf.broker_transport_options or {}
    if not isinstance(options, Mapping):
        raise ConfigurationError(f"broker_transport_options must be a dict, not {type(options).__name__}")
    prefix = options.get("global_keyprefix", "")
    if not isinstance(prefix, str):
        raise ConfigurationError(
            f"broker_transport_options['global_keyprefix'] must be a text, not {prefix!r}; leave it out for no prefix"
        )
    return options


def _read(app: Celery, url: Any) -> Broker:
    shown = hidden(url) if isinstance(url, str) else "several URLs" if url else "amqp://…"
    try:
        connection = app.connection_for_write(url)
    except (TypeError, KeyError, ValueError) as error:
        raise ConfigurationError(f"Celery cannot use the broker URL {shown}: {_reason(url, error)}") from None
    transport = connection.transport_cls
    is_redis = transport in _TRANSPORTS
    has_alternatives = len(set(connection.alt)) > 1
    if has_alternatives or transport not in _REDIS:
        return Broker(None, is_redis, f"{shown} (several hosts)" if has_alternatives else shown)
    # Celery's own default for rediss:// is not to verify the server. The state is verified unless the app says so.
    is_default = not app.conf.broker_use_ssl and "ssl_" not in str(url)
    return Broker(_checked(_location, connection, {} if is_default else connection.ssl), is_redis, shown)


def _location(connection: Any, tls: Any) -> RedisLocation:
    if connection.uri_prefix:
        return RedisLocation.parse(f"redis+{connection.hostname}")
    database = (connection.virtual_host or "").removeprefix("/") or "0"
    if not (database.isascii() and database.isdigit()):
        raise InvalidArgument("the path of the broker URL must be the number of a database")
    return RedisLocation(
        host=connection.hostname or DEFAULT_HOST,
        port=connection.port or DEFAULT_PORT,
        database=int(database),
        username=connection.userid,
        password=connection.password,
        tls=_tls(tls) if connection.ssl else None,
        credential_provider=getattr(connection, "credential_provider", None),
    )


def _tls(options: Any) -> Mapping[str, Any]:
    if not isinstance(options, Mapping):
        raise InvalidArgument(
            f"broker_use_ssl = {options!r} has no effect on Redis; use a dict such as "
            '{"ssl_cert_reqs": ssl.CERT_REQUIRED} and a rediss:// URL'
        )
    unknown = sorted(set(options) - set(TLS_OPTIONS))
    if unknown:
        near = f"ssl_{unknown[0]}"
        hint = f"did you mean {near}?" if near in TLS_OPTIONS else f"known: {', '.join(TLS_OPTIONS)}"
        raise InvalidArgument(f"broker_use_ssl or the URL has the unknown option {unknown[0]!r}; {hint}")
    if "ssl_cert_reqs" not in options:
        return dict(options)
    given = options["ssl_cert_reqs"]
    try:
        requirement = certificate_requirement(given)
    except (KeyError, ValueError):
        requirement = None
    if requirement is None or (isinstance(given, str) and given.upper().startswith("CERT_")):
        raise InvalidArgument(
            f"broker_use_ssl['ssl_cert_reqs'] is {given!r}; use a constant of ssl, such as ssl.CERT_REQUIRED"
        )
    return {**options, "ssl_cert_reqs": requirement}


def _checked(read: Any, *args: Any) -> RedisLocation:
    try:
        location: RedisLocation = read(*args)
    except InvalidArgument as error:
        raise ConfigurationError(f"the broker cannot be used: {error}") from error
    return location


def _reason(url: Any, error: Exception) -> str:
    """Say what is wrong with a URL, since kombu's error is that of a missing parameter."""
    if isinstance(url, str) and hidden(url) in ("redis://…", "rediss://…"):
        names = [name for name, _ in parse_qsl(url.partition("?")[2])]
        for name in names:
            if name in ("db", "virtual_host"):
                return f"write the database as its path, redis://HOST:PORT/N, not as {name}=N"
            if name in ("username", "password"):
                return "write user and password as redis://USER:PASSWORD@HOST:PORT/N"
            if not name.startswith("ssl_"):
                return f"it has the unknown option {name!r}; set it in broker_transport_options"
            if name == "ssl_cert_reqs":
                return "ssl_cert_reqs must be CERT_REQUIRED, CERT_OPTIONAL or CERT_NONE"
    if isinstance(error, KeyError):
        return str(error.args[0])
    return "use SCHEME://USER:PASSWORD@HOST:PORT/N, with %-escapes in user and password"
