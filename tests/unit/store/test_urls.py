"""The reading of Redis URLs: each form is read as Celery and redis-py read it, or refused with what to write."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import parse_url

from pollflow.errors import InvalidArgument
from pollflow.runtime.broker import Broker
from pollflow.store import RedisLocation

SECRET = "s3cr3t"

FORMS = [
    "redis://",
    "redis:///",
    "redis:///6",
    "redis://host",
    "redis://host/",
    "redis://host:7001",
    "redis://host:7001/6",
    "redis://host:7001//6",
    "redis://HOST/6",
    "redis://[::1]:7001/6",
    "redis://[0:0:0:0:0:0:0:1]/6",
    "redis://:pass@host/6",
    "redis://user:pass@host/6",
    "redis://user@host",
    "redis://us%40er:p%40%3A%2F%3F%23%25%3B%2B+w@host/6",
    "rediss://host/6?ssl_cert_reqs=CERT_REQUIRED",
    "rediss://host/6?ssl_cert_reqs=CERT_NONE",
    "rediss://host/6?ssl_cert_reqs=required&ssl_ca_certs=/etc/ca.pem&ssl_certfile=%2Fa&ssl_keyfile=/b",
    "rediss://:pass@host:7001?ssl_cert_reqs=none",
    "rediss://host?ssl_check_hostname=false&ssl_cert_reqs=optional",
    "redis+socket:///run/redis.sock",
    "redis+socket:///run/redis.sock?virtual_host=6",
    "redis+socket://:pass@/run/re%20dis.sock?virtual_host=6",
    "redis+socket://user:p%2Fw@/run/redis.sock",
]


def everything(location: RedisLocation) -> tuple[Any, ...]:
    """Return all fields, since locations are equal if only the database is."""
    return (location, location.username, location.password, location.tls, dict(location.options))


@pytest.mark.parametrize("url", FORMS)
def test_celery_reads_a_url_alike(url: str) -> None:
    found = Broker.of(Celery(broker=url)).location
    assert found is not None
    assert everything(found) == everything(RedisLocation.parse(url))


@pytest.mark.parametrize("url", FORMS)
def test_the_url_for_a_broker_and_that_for_the_state_name_the_same_database(url: str) -> None:
    location = RedisLocation.parse(url)
    broker = Broker.of(Celery(broker=location.broker_url())).location
    state = RedisLocation.parse(location.state_url())
    assert broker is not None
    assert everything(state) == everything(location)
    assert everything(broker)[:3] == everything(location)[:3]


@pytest.mark.parametrize("url", [*FORMS, "redis://host?db=6", "unix:///run/redis.sock?db=6", "unix://u:p@/a"])
def test_redis_py_reads_the_url_of_the_state_alike(url: str) -> None:
    """redis-py is what a user would connect with; without a host it uses localhost, pollflow 127.0.0.1 as Celery."""
    location = RedisLocation.parse(url)
    options = parse_url(location.state_url())
    assert (options.get("host", "127.0.0.1"), options.get("port", 6379)) == (location.host, location.port)
    assert options.get("path", "") == location.path
    assert int(options.get("db", 0)) == location.database
    assert (options.get("username"), options.get("password")) == (location.username, location.password)


@given(password=st.text(min_size=1), username=st.text(min_size=1))
def test_any_user_and_password_survive_both_urls(username: str, password: str) -> None:
    try:
        password.encode(), username.encode()
    except UnicodeEncodeError:
        return  # half a surrogate pair is no text that a server could have
    location = RedisLocation(username=username, password=password)
    broker = Broker.of(Celery(broker=location.broker_url())).location
    for found in (RedisLocation.parse(location.state_url()), broker):
        assert found is not None
        assert (found.username, found.password) == (username, password)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("redis://", "redis://127.0.0.1:6379/0"),
        ("redis://host?db=6", "redis://host/6"),
        ("redis://HOST", "redis://user:pass@host:6379/0"),
        ("redis://[::1]", "redis://[0:0::1]:6379"),
        ("unix:///a/b.sock?db=6", "redis+socket:///a/b.sock?virtual_host=6"),
        ("rediss://host", "redis://host"),
    ],
)
def test_two_urls_of_one_database_are_equal(one: str, other: str) -> None:
    assert RedisLocation.parse(one) == RedisLocation.parse(other)
    assert hash(RedisLocation.parse(one)) == hash(RedisLocation.parse(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("redis://host/1", "redis://host/2"),
        ("redis://host?db=1", "redis://host"),
        ("redis://host:1", "redis://host:2"),
        ("unix:///a", "unix:///b"),
        ("redis+socket:///a?virtual_host=1", "unix:///a"),
        # They may be two servers: localhost is ::1 as well.
        ("redis://localhost", "redis://127.0.0.1"),
        ("redis://[::1]", "redis://127.0.0.1"),
    ],
)
def test_urls_that_may_name_two_databases_differ(one: str, other: str) -> None:
    assert RedisLocation.parse(one) != RedisLocation.parse(other)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://host/abc", "must be a number; use redis://HOST:PORT/DB"),
        (f"rediss://:{SECRET}@host:1/1a", "must be a number"),
        ("redis://host/-1", "must be a number"),
        ("redis://host/0/1", "must be a number"),
        ("redis://host/٣", "must be a number"),
        ("redis://host/1?db=2", "names two databases, /1 and db=2"),
        ("redis://host?db=1&db=2", "the option db of a Redis URL must have one value"),
        ("redis://host?db=", "the option db of a Redis URL must have one value"),
        ("redis://host?virtual_host=1", r"virtual_host= has no effect in a redis:// URL; write db="),
        ("redis+socket:///a?db=1", r"db= has no effect in a redis\+socket:// URL; write virtual_host="),
        ("redis+socket:///a?password=p", r"password= has no effect .* write redis\+socket://USER:PASSWORD@/PATH"),
        ("redis://host?ssl_cert_reqs=none", "the option ssl_cert_reqs needs a rediss:// URL"),
        ("rediss://host?ssl_cert_reqs=maybe", "the option ssl_cert_reqs of a Redis URL cannot be 'maybe'"),
        ("rediss://host?ssl_check_hostname=x", "cannot be 'x'"),
        ("rediss://host?ssl_check_hostname=0", "cannot be '0'"),
        ("redis://host?socket_timeout=soon", "cannot be 'soon'"),
        ("redis://host?socket_timeout=-1", "the option socket_timeout of a Redis URL cannot be '-1'"),
        ("redis://host?socket_timeout=nan", "cannot be 'nan'"),
        ("redis://host?socket_connect_timeout=0", "cannot be '0'"),
        ("redis://host?socket_connect_timeout=1e30", "cannot be '1e30'"),
        ("redis://host?max_connections=-1", "the option max_connections of a Redis URL cannot be '-1'"),
        ("redis://host?health_check_interval=-1", "cannot be '-1'"),
        ("redis://host?decode_responses=true", "unknown option 'decode_responses' of a Redis URL; known: db, "),
        ("redis://host?no_such=1", "unknown option 'no_such'"),
        (f"redis://{SECRET}:6379", None),
        ("redis://a:1;redis://b:2", "names several hosts"),
        ("redis://a:1,b:2/0", "names several hosts"),
        (f"redis://:x;{SECRET}@host", "several hosts, or a ; that must be written as %3B"),
        (f"redis://:x#{SECRET}@host/0", "not a Redis URL|must be written as %23"),
        (f"redis://:12#{SECRET}@host/0", "a # in a Redis URL must be written as %23"),
        (f"redis://:12/{SECRET}@host/0", "must be a number"),
        (f"redis://:12?{SECRET}@host/0", "the options of a Redis URL must be NAME=VALUE"),
        (f"redis://:{SECRET}", "is not a Redis URL"),
        ("unix://run/redis.sock", "a URL of a unix socket has three slashes: unix:///PATH"),
        ("redis+socket://run/redis.sock", r"three slashes: redis\+socket:///PATH"),
        ("unix://", "three slashes"),
        ("host:6379", "'host:6379' is not a Redis URL; use redis://HOST"),
        # The address of a service `redis` in a compose file, which would be the database 379 of this machine.
        ("redis:6379", "'redis:6379' is not a Redis URL; use redis://HOST"),
        ("redis:6379?client_name=a://b", "is not a Redis URL"),
        ("redis:/6", "is not a Redis URL"),
        ("unix:/run/redis.sock", "is not a Redis URL"),
        (f"http://me:{SECRET}@host/0", "'http://…' is not a Redis URL"),
        (f"me:{SECRET}@host/0", "'host/0' is not a Redis URL"),
        (f"redis://:{SECRET}@host/0\n", "is not a Redis URL"),
        ("redis://host:0", "is not a Redis URL"),
        ("", "'' is not a Redis URL"),
        (5, "must be a text, not int"),
    ],
)
def test_any_other_url_is_refused_without_its_password(url: Any, message: str | None) -> None:
    if message is None:
        assert RedisLocation.parse(url).host == SECRET
        return
    with pytest.raises(InvalidArgument, match=message) as refused:
        RedisLocation.parse(url)
    assert SECRET not in str(refused.value)


def test_the_text_of_a_location_has_no_password() -> None:
    for url in (f"rediss://user:{SECRET}@host/3?ssl_password={SECRET}", f"unix://:{SECRET}@/a/b?db=3"):
        location = RedisLocation.parse(url)
        assert SECRET not in f"{location} {location!r}"
    assert str(RedisLocation.parse("rediss://host/3")) == "rediss://host:6379/3"
    assert str(RedisLocation.parse("unix:///a/b?db=3")) == "unix:///a/b?db=3"


def test_tls_without_verification_does_not_check_the_host_either() -> None:
    options = RedisLocation.parse("rediss://host?ssl_cert_reqs=none").client_options()
    assert (options["ssl_cert_reqs"], options["ssl_check_hostname"]) == (ssl.CERT_NONE, False)


def test_a_missing_part_is_completed_by_the_broker_and_a_given_one_is_kept() -> None:
    broker = RedisLocation(username="u", password="p", tls={"ssl_ca_certs": "/ca"})
    completed = RedisLocation.parse("redis://").completed_by(broker)
    assert (completed.username, completed.password, completed.tls) == ("u", "p", {"ssl_ca_certs": "/ca"})
    kept = RedisLocation.parse("rediss://:own@").completed_by(broker)
    assert (kept.username, kept.password, kept.tls) == (None, "own", {})


class Provider:
    """A provider of credentials, as `credential_provider` names it."""


def test_a_credential_provider_is_imported_by_its_name() -> None:
    url = f"redis://host?credential_provider={__name__}.Provider"
    assert type(RedisLocation.parse(url).client_options()["credential_provider"]).__name__ == "Provider"
    with pytest.raises(InvalidArgument, match="cannot be imported"):
        RedisLocation.parse("redis://host?credential_provider=no.such").client_options()
    with pytest.raises(InvalidArgument, match="is an object, which cannot be written in a URL"):
        RedisLocation(credential_provider=Provider()).state_url()
