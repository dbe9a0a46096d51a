"""Mutual TLS as docs/security.md sets it up: its lines for the server, and its URL for workers and clients.

The server is Debian's redis-server, since the embedded one is built without TLS.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from redis import Redis
from redis.exceptions import RedisError

from pollflow import Client, StoreUnavailable
from tests.process.polling import FLOW, assert_sound
from tests.processes import Processes, wait_until
from tests.servers import free_port
from tests.workers import PROJECT, Workers

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server, which has TLS, is not installed"),
]

TLS_SECTION = (PROJECT / "docs" / "security.md").read_text("utf-8").split("\n## TLS\n")[1].split("\n## ")[0]
SERVER_LINES, URL = re.findall(r"```text\n(.*?)```", TLS_SECTION, re.S)
PASSWORD = "secret"
CLIENT_CERTIFICATE = "add ssl_certfile=FILE and ssl_keyfile=FILE"


@dataclass(frozen=True)
class TlsServer:
    """A server that accepts only clients with a certificate, and the certificates."""

    folder: Path
    port: int

    def url(self, **options: str | None) -> str:
        """Return the URL of the page for this server; options replace those of the URL, None removes one."""
        text = URL.strip().replace("PASSWORD", PASSWORD).replace("redis.example.com:6379", f"localhost:{self.port}")
        base, _, query = text.replace("/etc/pollflow/tls", str(self.folder)).partition("?")
        found: dict[str, str | None] = dict(part.split("=", 1) for part in query.split("&"))
        found.update(options)
        return f"{base}?{'&'.join(f'{name}={value}' for name, value in found.items() if value is not None)}"


def write(folder: Path, name: str, certificate: trustme.LeafCert) -> None:
    certificate.private_key_pem.write_to_path(folder / f"{name}.key")
    certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")


@contextmanager
def tls_server(folder: Path, *, host: str) -> Iterator[TlsServer]:
    """Run a server with a certificate for a host, by the lines of the page."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other-ca.pem")
    write(folder, "server", authority.issue_cert(host))
    write(folder, "client", authority.issue_cert("client.example.com"))
    write(folder, "stranger", other.issue_cert("client.example.com"))
    server = TlsServer(folder, free_port())
    lines = SERVER_LINES.replace("/etc/redis/tls", str(folder)).replace("6379", str(server.port))
    lines += f'bind 127.0.0.1\nsave ""\nuser pollflow-worker on >{PASSWORD} ~* &* +@all\nuser default off\n'
    (folder / "redis.conf").write_text(lines)
    with subprocess.Popen(["redis-server", folder / "redis.conf"], stdout=subprocess.DEVNULL, cwd=folder) as process:
        try:
            wait_until(lambda: answers(server), "start of the server")
            yield server
        finally:
            process.terminate()


def answers(server: TlsServer) -> bool:
    folder = server.folder
    files = {"ssl_certfile": f"{folder}/client.pem", "ssl_keyfile": f"{folder}/client.key"}
    try:
        with Redis(
            port=server.port,
            ssl=True,
            ssl_cert_reqs="none",
            ssl_check_hostname=False,
            username="pollflow-worker",
            password=PASSWORD,
            **files,
        ) as client:  # type: ignore[call-overload]
            return bool(client.ping())
    except RedisError:
        return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TlsServer]:
    with tls_server(tmp_path, host="localhost") as found:
        yield found


def test_a_worker_and_a_client_with_certificates_run_flows(server: TlsServer, processes: Processes) -> None:
    # redis-py, which the functions of the test app use, has another word for CERT_REQUIRED.
    calls = server.url(ssl_cert_reqs="required")
    env = {"POLLFLOW_REDIS_URL": server.url(), "POLLFLOW_TEST_BROKER": server.url(), "POLLFLOW_TEST_CALLS": calls}
    processes.env.update(env)
    Workers(processes, PROJECT).start("-c", "1", app="tests.apps.jobs")
    with Client(server.url()) as client:
        client.deploy_text(FLOW, "polling")
        execution = client.start("polling", {"wait": 0.2, "done_at": 2}).wait(90)
        assert execution.status == "Succeeded"
        assert_sound(execution)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ssl_certfile": None, "ssl_keyfile": None}, CLIENT_CERTIFICATE),
        ({"ssl_certfile": "stranger.pem", "ssl_keyfile": "stranger.key"}, CLIENT_CERTIFICATE),
        ({"ssl_ca_certs": "other-ca.pem"}, "with the authority that signed its certificate"),
        ({"ssl_ca_certs": None}, "with the authority that signed its certificate"),
    ],
    ids=["no certificate", "certificate of another authority", "another authority", "no authority"],
)
def test_a_peer_without_a_trusted_certificate_is_refused(
    server: TlsServer, options: dict[str, str | None], error: str
) -> None:
    paths = {name: value and f"{server.folder}/{value}" for name, value in options.items()}
    with Client(server.url(**paths)) as client, pytest.raises(StoreUnavailable, match=re.escape(error)):
        client.flows()


@pytest.mark.parametrize("option", ["true", None], ids=["as the URL says", "by default"])
def test_a_server_with_another_host_name_is_refused(tmp_path: Path, option: str | None) -> None:
    with (
        tls_server(tmp_path, host="other.example.com") as server,
        Client(server.url(ssl_check_hostname=option)) as client,
        pytest.raises(StoreUnavailable, match="use the host name of the certificate"),
    ):
        client.flows()


def test_a_worker_without_a_certificate_is_not_served(server: TlsServer, processes: Processes) -> None:
    url = server.url(ssl_certfile=None, ssl_keyfile=None)
    calls = server.url(ssl_cert_reqs="required")
    processes.env.update(POLLFLOW_REDIS_URL=url, POLLFLOW_TEST_BROKER=url, POLLFLOW_TEST_CALLS=calls)
    command = [sys.executable, "-m", "celery", "-A", "tests.apps.jobs", "worker", "-l", "INFO", "-P", "solo"]
    worker = processes.start("worker", command, cwd=PROJECT)
    worker.wait_for_output("Redis could not be checked before the start")
    assert " ready." not in worker.output()
