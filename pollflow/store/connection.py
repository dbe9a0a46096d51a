"""Connections to Redis. No other module creates one."""

from __future__ import annotations

from typing import Any, TypeAlias

import redis
from redis.backoff import ExponentialBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    BusyLoadingError,
    ChildDeadlockedError,
    ClusterDownError,
    ConnectionError,
    DataError,
    ExecAbortError,
    LockError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    PubSubError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)
from redis.retry import Retry

from pollflow.errors import StoreFull, StoreRefused, StoreUnavailable
from pollflow.store.urls import RedisLocation

_MAX_PAUSE_SECONDS = 1.0

STORE_ERRORS = (RedisError, ChildDeadlockedError)
"""What redis-py raises."""

# redis-py removes the code of an error that it has a class for. A script's error has its text only, and older servers
# put the code anywhere in it. So both the classes and the codes are compared.
_FULL = "OOM command not allowed"
_READ_ONLY = "READONLY "
_REFUSED = (AuthenticationError, AuthorizationError, AuthenticationWrongNumberOfArgsError, NoPermissionError)
_REFUSED_TEXTS = ("NOAUTH ", "WRONGPASS ", "NOPERM ", "ACL failure in script", "can't run this command")
_TEMPORARY = (AskError, TryAgainError, ClusterDownError, ExecAbortError, NoScriptError)
_TEMPORARY_TEXTS = (
    "LOADING ",
    "MISCONF ",
    "NOREPLICAS ",
    "MASTERDOWN ",
    "CLUSTERDOWN ",
    "TRYAGAIN ",
    "ASK ",
    "BUSY ",
    "NOSCRIPT ",
    "EXECABORT ",
    "UNBLOCKED ",
    "Script killed by user",
)
_PERMANENT = (ResponseError, DataError, PubSubError, LockError)
_CLIENT_CERTIFICATE = "add ssl_certfile=FILE and ssl_keyfile=FILE to the URL, with a certificate that the server trusts"
_TLS_REMEDIES = {
    "mismatch, certificate is not valid for": "use the host name of the certificate in the URL",
    "CERTIFICATE_VERIFY_FAILED": "add ?ssl_ca_certs=FILE to the URL, with the authority that signed its certificate",
    "alert certificate required": _CLIENT_CERTIFICATE,
    "alert unknown ca": _CLIENT_CERTIFICATE,
    # What is left of these alerts if the server closes the connection while the client writes.
    "EOF occurred in violation of protocol": f"if the server requires it, {_CLIENT_CERTIFICATE}",
}
"""By a part of the text of OpenSSL; the first one applies."""

Connection: TypeAlias = Any
"""A `redis.Redis` that decodes its replies to text, which the types of redis-py cannot express."""


def connect(location: str | RedisLocation, *, retry_seconds: float = 2) -> Connection:
    """Return a client that retries for about `retry_seconds` while Redis is unreachable or loading.

    Retries are safe: every script of the store recognizes its own repetition. Raises InvalidArgument for an invalid
    URL.
    """
    if not isinstance(location, RedisLocation):
        location = RedisLocation.parse(location)
    retries = max(3, round(retry_seconds / _MAX_PAUSE_SECONDS) + 3)
    options: dict[str, Any] = {
        "decode_responses": True,
        "retry": Retry(ExponentialBackoff(cap=_MAX_PAUSE_SECONDS, base=0.05), retries),
        "retry_on_error": [ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError],
        "socket_connect_timeout": 5,
        "socket_timeout": 15,
        "socket_keepalive": True,
        "health_check_interval": 30,
    }
    options |= location.client_options()
    provider = options.get("credential_provider")
    # redis-py recognizes a streaming provider, which tells it new credentials, by its class.
    if provider is not None and not hasattr(provider, "on_next"):
        options["credential_provider"] = _Credentials(provider)
    return redis.Redis(**options)


class _Credentials(CredentialProvider):
    """Credentials of a provider, whose errors are those of a lost connection: they pass, as a rule."""

    def __init__(self, provider: CredentialProvider) -> None:
        self._provider = provider

    def get_credentials(self) -> Any:
        """Return the credentials. redis-py would keep a connection without them after an error that is not its own."""
        try:
            return self._provider.get_credentials()
        except RedisError:
            raise
        except Exception as error:
            raise ConnectionError(f"the credential provider failed: {type(error).__name__}: {error}") from error


def unavailable(error: Exception) -> StoreUnavailable:
    """Return the exception that the store raises for an error of redis-py."""
    text = str(error)
    if isinstance(error, OutOfMemoryError) or _FULL in text:
        return StoreFull("Redis is full (maxmemory) and refuses writes; free memory or raise maxmemory")
    if isinstance(error, ReadOnlyError) or _READ_ONLY in text:
        return StoreUnavailable(
            "Redis refuses writes: the server is a read-only replica; promote it, or use the URL of the primary"
        )
    if isinstance(error, BusyLoadingError):
        return StoreUnavailable("Redis is loading its data")
    if isinstance(error, _REFUSED) or any(part in text for part in _REFUSED_TEXTS):
        return StoreRefused(f"Redis refuses this user: {text}; correct user, password or permissions (ACL)")
    if isinstance(error, MovedError):
        return StoreRefused("Redis is a part of a cluster, which pollflow does not support; use a single Redis")
    text += next((f"; {remedy}" for part, remedy in _TLS_REMEDIES.items() if part in text), "")
    is_temporary = (
        not isinstance(error, _PERMANENT)
        or isinstance(error, _TEMPORARY)
        or any(part in text for part in _TEMPORARY_TEXTS)
    )
    return StoreUnavailable(f"Redis cannot serve: {text}", is_temporary=is_temporary)
