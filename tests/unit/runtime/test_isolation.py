"""An isolated process never reaches the broker, the state or the result backend that the app configures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from pollflow.runtime.app import attach
from pollflow.runtime.isolation import Isolation, isolate
from pollflow.store import RedisLocation

OURS = "redis://127.0.0.1:1/5"
THEIRS = "redis://production:6379/3"
CELERY_VARIABLES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in Isolation(OURS).variables().items():
        monkeypatch.setenv(name, value)
    yield


def in_code() -> Celery:
    return Celery("app", broker=THEIRS, backend=THEIRS)


def in_settings() -> Celery:
    app = Celery("app")
    app.conf.update(broker_url=THEIRS, broker_write_url=THEIRS, broker_read_url=THEIRS, result_backend=THEIRS)
    return app


def in_a_namespace() -> Celery:
    app = Celery("app")
    names = ("BROKER_URL", "BROKER_READ_URL", "BROKER_WRITE_URL", "RESULT_BACKEND", "POLLFLOW_REDIS_URL")
    app.config_from_object(SimpleNamespace(**{f"CELERY_{name}": THEIRS for name in names}), namespace="CELERY")
    return app


def with_old_names() -> Celery:
    app = Celery("app")
    app.config_from_object(SimpleNamespace(BROKER_URL=THEIRS, CELERY_RESULT_BACKEND=THEIRS))
    return app


def on_rabbitmq() -> Celery:
    app = Celery("app", broker="amqp://user:secret@production//", backend="rpc://")
    app.conf.update(broker_use_ssl={"ca_certs": "x"}, broker_transport_options={"confirm_publish": True})
    return app


def behind_sentinels() -> Celery:
    app = Celery("app", broker="sentinel://production:26379", backend="sentinel://production:26379")
    options = {"master_name": "mine"}
    app.conf.update(broker_transport_options=options, result_backend_transport_options=options)
    return app


APPS = [in_code, in_settings, in_a_namespace, with_old_names, on_rabbitmq, behind_sentinels]


def assert_isolated(app: Celery) -> None:
    for connection in (app.connection_for_read(), app.connection_for_write()):
        assert connection.as_uri(include_password=True) == OURS
        assert not connection.ssl
    assert app.conf.result_backend in (OURS, None)
    assert "production" not in app.backend.as_uri()


@pytest.mark.parametrize("make", APPS)
def test_attach_replaces_whatever_the_app_configures(make: Callable[[], Celery]) -> None:
    app = make()
    attached = attach(app, "redis://production:6379/4")
    assert_isolated(app)
    assert attached.location == attached.broker.location == RedisLocation.parse(OURS)
    assert attached.container.routes.in_script
    connection = attached.container.store.client.get_connection_kwargs()
    assert (connection["host"], connection["port"], connection["db"]) == ("127.0.0.1", 1, 5)


@pytest.mark.parametrize("make", APPS)
def test_the_socket_of_the_embedded_server_is_written_as_celery_writes_it(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Celery]
) -> None:
    for name, value in Isolation("unix://:pw@/run/a.sock?db=0").variables().items():
        monkeypatch.setenv(name, value)
    app = make()
    attached = attach(app)
    assert attached.location == attached.broker.location == RedisLocation.parse("unix:///run/a.sock?db=0")
    for connection in (app.connection_for_read(), app.connection_for_write()):
        assert connection.as_uri(include_password=True) == "redis+socket://:pw@/run/a.sock?virtual_host=0"
    assert app.conf.result_backend in ("redis+socket://:pw@/run/a.sock?virtual_host=0", None)


@pytest.mark.parametrize("variable", CELERY_VARIABLES)
def test_the_variables_of_celery_are_replaced(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, THEIRS)
    app = Celery("app")
    attach(app)
    assert_isolated(app)


@pytest.mark.parametrize("make", APPS)
def test_a_worker_replaces_what_is_configured_after_attach(make: Callable[[], Celery]) -> None:
    app = make()
    attach(app)
    app.conf.update(broker_url=THEIRS, broker_read_url=THEIRS, broker_write_url=THEIRS)
    isolate(app)  # as the check before a worker starts does
    assert_isolated(app)


@pytest.mark.parametrize("make", APPS)
def test_on_a_shared_redis_all_keys_have_the_prefix(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Celery]
) -> None:
    for name, value in Isolation(OURS, "run-1").variables().items():
        monkeypatch.setenv(name, value)
    app = make()
    app.conf.broker_transport_options = {"global_keyprefix": "theirs", "visibility_timeout": 900}
    attached = attach(app)
    assert attached.settings.key_prefix == "run-1"
    options: Any = app.connection_for_read().transport_options
    assert options == {"global_keyprefix": "run-1:broker:", "visibility_timeout": 900}
    assert all(name.startswith("run-1:broker:") for name in attached.container.routes.lists())


def test_a_process_that_is_not_isolated_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLLFLOW_ISOLATED")
    monkeypatch.delenv("POLLFLOW_REDIS_URL")
    app = in_code()
    attached = attach(app)
    assert (attached.location, attached.is_url_explicit) == (RedisLocation.parse(THEIRS), False)
    assert isolate(app) is None
    assert app.conf.broker_url == THEIRS
