"""A server that listens everywhere a URL can point to: TCP, IPv6, a unix socket, and TLS."""

from __future__ import annotations

import selectors
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import trustme
from redis import Redis
from redis.exceptions import RedisError

from pollflow.server import find_server
from tests.processes import wait_until
from tests.servers import free_port

PASSWORD = "p@:/?#%;+ w"
"""Each character means something in a URL."""
QUOTED = "p%40%3A%2F%3F%23%25%3B%2B%20w"

_CONFIGURATION = """\
bind 127.0.0.1 -::1
port {port}
unixsocket {folder}/redis.sock
save ""
user default on #{digest} ~* &* +@all
user named on #{digest} ~* &* +@all
"""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the server listens. The users `default` and `named` have the password PASSWORD."""

    port: int
    tls_port: int
    socket: str
    ca: str

    def fill(self, url: str) -> str:
        """Insert the addresses into a URL."""
        return url.format(port=self.port, tls=self.tls_port, socket=self.socket, ca=self.ca, password=QUOTED)


@contextmanager
def listening_server() -> Iterator[Addresses]:
    """Run the server. TLS is terminated here, since not every server is built with it."""
    # The path of a unix socket has at most about 100 characters, fewer than tmp_path may have.
    folder = tempfile.mkdtemp(prefix="pollflow-")
    port = free_port()
    try:
        with _server(folder, port), _tls_proxy(folder, port) as tls_port:
            yield Addresses(port, tls_port, f"{folder}/redis.sock", f"{folder}/ca.pem")
    finally:
        shutil.rmtree(folder)


def has_ipv6() -> bool:
    """Return whether the machine has ::1."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


@contextmanager
def _server(folder: str, port: int) -> Iterator[None]:
    text = _CONFIGURATION.format(port=port, folder=folder, digest=sha256(PASSWORD.encode()).hexdigest())
    configuration = Path(folder, "redis.conf")
    configuration.write_text(text)
    process = subprocess.Popen([find_server().path, configuration], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: _serves(port), "start of the server")
        yield
    finally:
        process.terminate()
        process.wait()


def _serves(port: int) -> bool:
    with suppress(RedisError), Redis(port=port, password=PASSWORD) as client:
        return bool(client.ping())
    return False


@contextmanager
def _tls_proxy(folder: str, port: int) -> Iterator[int]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(f"{folder}/ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "::1", "localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return  # the test has ended
                threading.Thread(target=_forward, args=(context, client, port), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _forward(context: ssl.SSLContext, client: socket.socket, port: int) -> None:
    with (
        suppress(OSError),
        client,
        socket.create_connection(("127.0.0.1", port)) as server,
        context.wrap_socket(client, server_side=True) as secured,
        selectors.DefaultSelector() as selector,
    ):
        selector.register(secured, selectors.EVENT_READ, server)
        selector.register(server, selectors.EVENT_READ, secured)
        while True:
            for key, _ in selector.select():
                # A TLS record is decrypted as a whole; what of it was not read makes no socket readable.
                while data := key.fileobj.recv(65536):  # type: ignore[union-attr]
                    key.data.sendall(data)
                    if key.fileobj is server or not secured.pending():
                        break
                if not data:
                    return
