"""Clients with and without the codec of the workers."""

from __future__ import annotations

import pytest
from celery import Celery
from redis import Redis

import pollflow
from pollflow import AesGcmCodec, Client, MissingKey
from pollflow.runtime.registry import WorkerRegistry
from pollflow.store import Sealer
from tests.canaries import keys_with
from tests.contract.conftest import Bench
from tests.flows import CALLBACK, PASSES

CANARY = "c4nary"
KEYS = {"new": b"n" * 32}
NAME = "proj.security:codec"


@pytest.fixture
def workers(server: Bench) -> Bench:
    """Return the bench of workers that have registered a codec."""
    container = server.build_container(sealer=Sealer(AesGcmCodec(KEYS)), codec=NAME)
    registry = WorkerRegistry(
        container.directory, container.reading, container.routes, container.settings, server.functions
    )
    registry.register()
    server.deploy(PASSES, "passes")
    return server


def test_a_client_of_the_app_decodes(workers: Bench, store_url: str) -> None:
    app = Celery("proj", broker=store_url)
    app.conf.pollflow_codec = AesGcmCodec(KEYS)
    pollflow.attach(app)
    with Client(app) as client:
        execution = client.start("passes", {"word": CANARY}, name="x")
        workers.work()
        assert execution.refresh().input == {"word": CANARY}
        assert execution.history()[0].detail["input"] == {"word": CANARY}
    assert keys_with(workers.redis, CANARY) == set()


def test_a_client_without_the_app_stores_nothing_in_clear(workers: Bench, store_url: str) -> None:
    inputs = workers.returns("ask", {})
    ref = workers.start(CALLBACK)
    workers.work()
    before = len(workers.history(ref))
    with Client(store_url) as client:
        waiting = client.execution("flow", "x")
        refused = f"the workers encode data .pollflow_codec is {NAME}., and this process has no codec; use the app"
        with pytest.raises(MissingKey, match=refused):
            client.start("passes", {"word": CANARY})
        with pytest.raises(MissingKey, match=refused):
            waiting.stop("Enough", CANARY)
        with pytest.raises(MissingKey):
            client.report_succeeded(inputs[0]["token"], {"word": CANARY})
    assert len(workers.history(ref)) == before
    assert keys_with(workers.redis, CANARY) == set()


def test_a_client_without_the_key_reads_what_is_clear(workers: Bench, store_url: str) -> None:
    ref = workers.container.starter.start("passes", {"word": CANARY}, "x").key.ref
    workers.work()
    with Client(store_url) as client:
        execution = client.execution("passes", "x")
        assert (execution.status, execution.error, execution.name) == ("Succeeded", None, ref.name)
        assert [(each.name, each.description.damaged) for each in client.executions()] == [("x", ("input", "output"))]
        message = f'encoded with key "new" by the pollflow_codec of the workers .{NAME}.'
        for read in (lambda: execution.input, lambda: execution.output, execution.history):
            with pytest.raises(MissingKey, match=message):
                read()
        execution.wait(1)
        execution.purge()
        assert client.executions() == []


def test_nothing_that_redis_names_is_imported(server: Bench, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    monkeypatch.setattr("pollflow.runtime.codecs.import_module", imported.append)
    container = server.build_container(codec="os:system")
    container.routes.save(container.directory, container.settings)
    with Redis.from_url(store_url, decode_responses=True), Client(store_url) as client:
        assert client.executions() == []
        assert client.settings.codec == "os:system"
    assert imported == []
