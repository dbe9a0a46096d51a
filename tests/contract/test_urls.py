"""Each form of a Redis URL connects to its database, for the state and for a broker of Celery."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery
from redis import Redis

from pollflow import StoreUnavailable
from pollflow.runtime.broker import Broker
from pollflow.store import Directory, Keys, RedisLocation, connect
from tests.url_servers import PASSWORD, Addresses, has_ipv6, listening_server

pytestmark = pytest.mark.server

FORMS = [
    "redis://:{password}@127.0.0.1:{port}",
    "redis://:{password}@127.0.0.1:{port}/",
    "redis://:{password}@127.0.0.1:{port}/6",
    "redis://:{password}@localhost:{port}/6",
    "redis://named:{password}@127.0.0.1:{port}/6",
    pytest.param(
        "redis://named:{password}@[::1]:{port}/6", marks=pytest.mark.skipif(not has_ipv6(), reason="there is no ::1")
    ),
    "redis+socket://:{password}@{socket}?virtual_host=6",
    "redis+socket://named:{password}@{socket}",
    "rediss://:{password}@127.0.0.1:{tls}/6?ssl_ca_certs={ca}",
    "rediss://:{password}@127.0.0.1:{tls}/6?ssl_ca_certs={ca}&ssl_cert_reqs=required",
    "rediss://:{password}@127.0.0.1:{tls}/6?ssl_cert_reqs=CERT_NONE",
    "rediss://named:{password}@localhost:{tls}?ssl_cert_reqs=none",
]
STATE_FORMS = [
    "redis://:{password}@127.0.0.1:{port}?db=6",
    "redis://127.0.0.1:{port}/6?password={password}",
    "unix://:{password}@{socket}?db=6",
    "unix://{socket}?db=6&password={password}",
]


@pytest.fixture(scope="module")
def addresses() -> Iterator[Addresses]:
    with listening_server() as found:
        yield found


def databases(addresses: Addresses) -> set[int]:
    """Return the numbers of the databases that have keys, and empty them."""
    with Redis(port=addresses.port, password=PASSWORD) as client:
        found = {int(name[2:]) for name in client.info("keyspace")}
        client.flushall()
        return found


@pytest.mark.parametrize("form", [*FORMS, *STATE_FORMS])
def test_the_state_is_in_the_database_of_the_url(addresses: Addresses, form: str) -> None:
    location = RedisLocation.parse(addresses.fill(form))
    for url in (location, location.state_url()):
        with connect(url) as client:
            client.set("key", "value")
        assert databases(addresses) == {location.database}


@pytest.mark.parametrize("form", FORMS)
def test_the_messages_are_in_the_same_database(addresses: Addresses, form: str) -> None:
    url = addresses.fill(form)
    location = RedisLocation.parse(url)
    for broker in (url, location.broker_url()):
        app = Celery(broker=broker)
        with app.connection_for_write() as connection:
            connection.SimpleQueue("queue").put({})
        assert databases(addresses) == {location.database}
        assert Broker.of(app).location == location
        app.close()


def test_a_broker_with_tls_and_credentials_in_settings(addresses: Addresses) -> None:
    app = Celery(broker=f"redis://127.0.0.1:{addresses.tls_port}/6")
    app.conf.update(broker_use_ssl={"ssl_ca_certs": addresses.ca}, broker_user="named", broker_password=PASSWORD)
    with app.connection_for_write() as connection:
        connection.SimpleQueue("queue").put({})
    assert databases(addresses) == {6}
    location = Broker.of(app).location
    assert location is not None
    with connect(location) as client:
        client.set("key", "value")
    assert databases(addresses) == {6}
    app.close()


class Provider:
    """A provider of credentials that fails at first, as one that asks a service over the network may."""

    calls = 0

    def get_credentials(self) -> tuple[str, str]:
        self.calls += 1
        if self.calls < 3:
            raise RuntimeError("no token")
        return ("named", PASSWORD)


def test_credentials_that_cannot_be_had_for_a_while_are_a_lost_connection(addresses: Addresses) -> None:
    provider = Provider()
    location = RedisLocation(port=addresses.port, credential_provider=provider)
    with connect(location) as client:
        assert client.ping()
    assert provider.calls == 3
    provider.calls = -1_000_000
    with connect(location, retry_seconds=0) as client, pytest.raises(StoreUnavailable, match="no token") as raised:
        Directory(client, Keys()).route()
    assert raised.value.is_temporary


def test_an_unknown_certificate_is_refused_with_the_remedy(addresses: Addresses) -> None:
    url = addresses.fill("rediss://:{password}@127.0.0.1:{tls}/6")
    with connect(url, retry_seconds=0) as client, pytest.raises(StoreUnavailable, match="ssl_ca_certs=FILE"):
        Directory(client, Keys()).route()
