"""The peers of pollflow: each with its server, two workers and a client, in an environment of their own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cpu import children_seconds, process_seconds
from benchmarks.frame import PROJECT, Site, Variant, Workers, await_line
from tests.servers import free_port

PYTHON = PROJECT / ".venvs" / "peers" / "bin" / "python"
APPS = PROJECT / "benchmarks" / "peer_apps"
WORKERS = 2


@dataclass(frozen=True)
class Job:
    """What a round does: `executions` that make `polls` each."""

    executions: int
    polls: int


class DbosWorkers(Workers):
    """Workers on a database of DBOS."""

    @property
    def url(self) -> str:
        """The URL of the database, which DBOS creates."""
        raise NotImplementedError


class SqliteWorkers(DbosWorkers):
    """Workers on a database of SQLite, which has no server."""

    @property
    def server(self) -> str:
        """The name of the database."""
        return "sqlite"

    @property
    def url(self) -> str:
        """The URL of the database."""
        return f"sqlite:///{self.folder / 'dbos.sqlite'}"

    def server_seconds(self) -> float:
        """Return zero: the workers do the work of the database."""
        return 0.0


class PostgresWorkers(DbosWorkers):
    """Workers on a PostgreSQL of their own on a free port, in its default configuration (with fsync)."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._password, self._port = secrets.token_hex(), free_port()
        data, user = folder / "postgres", _unprivileged_user()
        data.mkdir()
        if user:
            # PostgreSQL refuses to run as root; its user must be able to reach its files.
            folder.chmod(0o711)
            shutil.chown(data, user)
        self._initialize(data, user)
        log = folder / "postgres.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [_programs() / "postgres", "-D", data, "-p", str(self._port), "-h", "127.0.0.1", "-k", ""],
                cwd=data,
                user=user,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        await_line(log, "ready to accept connections", self._process)

    def _initialize(self, data: Path, user: str | None) -> None:
        """Make the database cluster. The password is in a private file, since other users can read arguments."""
        with tempfile.NamedTemporaryFile("w", prefix="pollflow-bench-") as password:
            password.write(self._password)
            password.flush()
            if user:
                shutil.chown(password.name, user)
            options = ["-U", "bench", "-A", "scram-sha-256", f"--pwfile={password.name}", "--no-sync"]
            command = [str(_programs() / "initdb"), "-D", str(data), *options]
            subprocess.run(command, cwd=data, user=user, check=True, stdout=subprocess.DEVNULL)

    @property
    def url(self) -> str:
        """The URL of the database."""
        return f"postgresql://bench:{self._password}@127.0.0.1:{self._port}/bench"

    @property
    def server(self) -> str:
        """The name and the version of the server."""
        found = subprocess.run([_programs() / "postgres", "--version"], check=True, capture_output=True, text=True)
        return f"postgresql {found.stdout.split()[2]}"

    def server_seconds(self) -> float:
        """Return the CPU time of PostgreSQL so far: its main process and its backends."""
        return process_seconds(self._process.pid) + children_seconds(self._process.pid)

    def stop(self) -> None:
        """Stop all workers, then the server."""
        super().stop()
        self._process.send_signal(signal.SIGINT)  # end the connections instead of waiting for their end
        self._process.wait()


@contextmanager
def peer(name: str, at: Workers, worker: str, env: Mapping[str, str], job: Job) -> Iterator[Variant]:
    """Provide the variant of a peer: start its workers, and a client that starts executions and awaits their ends."""
    if not PYTHON.exists():
        raise RuntimeError(f"{PYTHON} does not exist: run `make ready-peers`")
    for _ in range(WORKERS):
        at.start([str(PYTHON), str(APPS / f"{worker}_worker.py")], env)
    client = subprocess.Popen(
        [PYTHON, APPS / f"{worker}_client.py"],
        env={**os.environ, **env},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )

    def work() -> int:
        assert client.stdin is not None and client.stdout is not None
        print(job.executions, job.polls, file=client.stdin, flush=True)
        if (answer := client.stdout.readline().strip()) != "done":
            raise RuntimeError(f"{name}: the client answered {answer!r}")
        return job.executions * job.polls

    with client:
        try:
            yield Variant(name, "poll", at, work, kinds=("main", "server"))
        finally:
            client.kill()


def dbos_env(url: str, job: Job) -> dict[str, str]:
    """Return the environment of the processes of DBOS. Each worker takes at most its share of the executions."""
    return {"BENCH_DATABASE_URL": url, "BENCH_CONCURRENCY": str(-(-job.executions // WORKERS))}


def redflow_env(at: Site) -> dict[str, str]:
    """Return the environment of the processes of redflow."""
    return {"POLLFLOW_REDIS_URL": at.url}


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs. Debian does not put them on the path."""
    on_path = shutil.which("postgres")
    found = [Path(on_path)] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_major)
    if not found:
        raise RuntimeError("PostgreSQL is not installed: the program postgres was not found")
    return found[-1].resolve().parent


def _major(program: Path) -> int:
    return int(program.parts[-3])


def _unprivileged_user() -> str | None:
    return "postgres" if os.geteuid() == 0 else None
