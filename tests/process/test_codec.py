"""Encoded data with real workers: nothing of it reaches Redis, the broker or task events in clear."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis

from pollflow.store import ExecutionRef, Keys
from tests.canaries import contents, keys_with
from tests.processes import wait_until
from tests.servers import RedisServer
from tests.workers import PROJECT, Workers

pytestmark = pytest.mark.process

CANARY = "c4nary-of-the-process-test"
K1, K2 = (f"{name}:{base64.b64encode(name.encode().ljust(32, b'.')).decode()}" for name in ("k1", "k2"))
FLOW = """
version: v1
type: flow
steps:
  - {type: wait, name: Wait, duration: 1}
  - type: task
    name: Call
    resourceArn: acs:fc:::services/sealed/functions/call
    retry: [{errors: [Busy], intervalSeconds: 1, maxAttempts: 3}]
    outputMappings: [{target: word, source: $local.word}]
  - type: task
    name: Caught
    resourceArn: acs:fc:::services/sealed/functions/fail
    inputMappings: [{target: word, source: $.word}]
    catch: [{errors: [FnF.ALL], goto: Both}]
  - type: parallel
    name: Both
    branches:
      - steps: [{type: pass, name: Left}]
      - steps: [{type: pass, name: Right}]
outputMappings: [{target: word, source: $local.word}]
"""
FAILING = """
version: v1
type: flow
steps:
  - {type: task, name: Fail, resourceArn: "acs:fc:::services/sealed/functions/fail"}
"""


class Site:
    """The server, and commands with some of the keys."""

    def __init__(self, server: RedisServer, folder: Path, env: dict[str, str]) -> None:
        self.redis = Redis.from_url(server.url, decode_responses=True)
        self._folder, self._env = folder, {**env, "POLLFLOW_REDIS_URL": server.url}

    def pollflow(self, *words: str, keys: str, input: Any = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pollflow.cli", *words, "-A", "tests.apps.sealed"]
        env = {**self._env, "POLLFLOW_CODEC_KEYS": keys}
        text = None if input is None else json.dumps(input)
        return subprocess.run(command, input=text, env=env, cwd=PROJECT, capture_output=True, text=True, timeout=60)

    def deploy(self, **flows: str) -> None:
        for name, text in flows.items():
            (self._folder / f"{name}.yaml").write_text(text)
        deployed = self.pollflow("deploy", *(str(self._folder / f"{name}.yaml") for name in flows), keys=K1)
        assert deployed.returncode == 0, deployed.stderr

    def encoded_with(self) -> set[str]:
        """Return the key ids of records."""
        texts = [repr(content) for _, content in contents(self.redis)]
        return {key_id for key_id in ("k1", "k2") if any(f":zstd+{key_id}:" in text for text in texts)}


@pytest.fixture
def site(redis_server: RedisServer, tmp_path: Path) -> Iterator[Site]:
    site = Site(redis_server, tmp_path, dict(os.environ))
    yield site
    site.redis.close()


class Monitor:
    """Everything that Redis receives: arguments of scripts, queued messages, task events, results."""

    def __init__(self, url: str) -> None:
        location = urlsplit(url)
        self._socket = socket.create_connection((location.hostname or "", location.port or 0))
        if location.password:
            self._socket.sendall(f"AUTH {location.password}\r\n".encode())
        self._socket.sendall(b"MONITOR\r\n")
        self.text = ""
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        wait_until(lambda: "+OK" in self.text, "MONITOR has begun")

    def _listen(self) -> None:
        while received := self._socket.recv(1 << 16):
            self.text += received.decode("utf-8", "replace")

    def seen(self) -> str:
        """Return what Redis has received, with the bodies of task events decoded."""
        bodies = re.findall(r'\\"body\\": ?\\"([A-Za-z0-9+/=]+)\\"', self.text)
        return "\n".join([self.text, *(base64.b64decode(body).decode("utf-8", "replace") for body in bodies)])

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


@pytest.fixture
def monitor(redis_server: RedisServer) -> Iterator[Monitor]:
    monitor = Monitor(redis_server.url)
    yield monitor
    monitor.close()


def test_no_data_leaves_the_workers_in_clear(site: Site, workers: Workers, monitor: Monitor) -> None:
    worker = workers.start("-E", "-P", "solo", app="tests.apps.sealed", env={"POLLFLOW_CODEC_KEYS": K1})
    site.deploy(secret=FLOW, failing=FAILING)
    secret = {"word": CANARY, "long": [CANARY] * 50}
    started = site.pollflow("start", "secret", "-n", "x", "-i", "-", "--wait", keys=K1, input=secret)
    assert started.returncode == 0, started.stderr + worker.output()
    failed = site.pollflow("start", "failing", "-n", "x", "-i", "-", "--wait", keys=K1, input=secret)
    assert failed.returncode == 1, failed.stderr
    wait_until(lambda: "task-failed" in monitor.seen(), "the event of the failure is sent")
    assert "task-retried" in monitor.seen()
    assert CANARY not in monitor.seen()
    assert keys_with(site.redis, CANARY) == set()

    shown = json.loads(site.pollflow("show", "secret/x", "--json", keys=K1).stdout)
    assert (shown["status"], shown["input"], shown["output"]) == ("Succeeded", secret, {"word": CANARY})
    cause = json.loads(site.pollflow("show", "failing/x", "--json", keys=K1).stdout)["cause"]
    assert cause == f"the password is {CANARY}"
    history = site.pollflow("history", "secret/x", "--json", keys=K1).stdout
    assert history.count(f"{CANARY} is busy") == 1
    for words, keys, problem in (
        (("show", "secret/x"), "", "this process has no codec"),
        (("show", "failing/x", "--json"), K2, 'this process has no key "k1", only k2'),
    ):
        lost = site.pollflow(*words, keys=keys)
        assert lost.returncode == 2, (words, keys, lost.stdout, lost.stderr)
        assert problem in lost.stderr
        assert "k1" in lost.stderr
        assert "Traceback" not in lost.stderr
    listed = site.pollflow("list", keys="")
    assert (listed.returncode, listed.stdout.count("cannot be read")) == (0, 2)


def test_workers_without_the_key_leave_executions_to_others(site: Site, workers: Workers) -> None:
    without = workers.start("-P", "solo", app="tests.apps.sealed", env={"POLLFLOW_CODEC_KEYS": ""}, name="without")
    other = workers.start("-P", "solo", app="tests.apps.sealed", env={"POLLFLOW_CODEC_KEYS": K2}, name="other")
    site.deploy(secret=FLOW)
    started = site.pollflow("start", "secret", "-n", "x", "-i", "-", keys=K1, input={"word": CANARY})
    assert started.returncode == 0, started.stderr
    for worker in (without, other):
        worker.wait_for_output("the state needs a key; publishing the message again")
    assert 'this process has no key "zstd+k1"' not in other.output()
    workers.start("-P", "solo", app="tests.apps.sealed", env={"POLLFLOW_CODEC_KEYS": f"{K2},{K1}"}, name="with")
    key = Keys().execution(ExecutionRef("secret", "x"))
    wait_until(lambda: site.redis.hget(key, "status") == "Succeeded", "end of the execution")

    rotated = site.pollflow("codec", "rotate", keys=f"{K2},{K1}")
    assert rotated.returncode == 0, rotated.stderr
    assert "key zstd+k1: " in rotated.stdout
    assert site.encoded_with() == {"k2"}
    shown = json.loads(site.pollflow("show", "secret/x", "--json", keys=K2).stdout)
    assert (shown["status"], shown["output"]) == ("Succeeded", {"word": CANARY})
