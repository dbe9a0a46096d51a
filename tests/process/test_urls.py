"""Workers and clients whose state and broker are behind a unix socket, TLS, IPv6, and passwords that need quoting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from pollflow import Client
from tests.process.polling import FLOW, assert_sound
from tests.processes import Processes
from tests.url_servers import PASSWORD, Addresses, has_ipv6, listening_server
from tests.workers import PROJECT, Workers

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture
def addresses() -> Iterator[Addresses]:
    with listening_server() as found:
        yield found


@pytest.mark.parametrize(
    ("broker", "state"),
    [
        ("redis+socket://:{password}@{socket}?virtual_host=6", "unix://:{password}@{socket}?db=6"),
        (
            "rediss://named:{password}@127.0.0.1:{tls}/6?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={ca}",
            "rediss://named:{password}@127.0.0.1:{tls}?db=6&ssl_ca_certs={ca}",
        ),
        pytest.param(
            "redis://:{password}@[::1]:{port}/6",
            "redis://:{password}@[0:0::1]:{port}/6",
            marks=pytest.mark.skipif(not has_ipv6(), reason="there is no ::1"),
        ),
    ],
    ids=["unix socket", "TLS", "IPv6"],
)
def test_a_worker_runs_flows_with_state_and_messages_in_one_database(
    addresses: Addresses, processes: Processes, broker: str, state: str
) -> None:
    url = addresses.fill(state)
    processes.env.update(POLLFLOW_REDIS_URL=url, POLLFLOW_TEST_BROKER=addresses.fill(broker))
    Workers(processes, PROJECT).start("-c", "1", app="tests.apps.jobs")
    with Client(url) as client:
        client.deploy_text(FLOW, "polling")
        execution = client.start("polling", {"wait": 0.2, "done_at": 2}).wait(90)
        assert execution.status == "Succeeded"
        assert_sound(execution)
    with Redis(port=addresses.port, password=PASSWORD) as redis:
        assert set(redis.info("keyspace")) == {"db6"}
    with Redis(port=addresses.port, password=PASSWORD, db=6, decode_responses=True) as redis:
        assert redis.hget("pollflow:route", "in_script") == "1"
