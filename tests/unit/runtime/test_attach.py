from __future__ import annotations

import os
import ssl
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue
from kombu.common import Broadcast

import pollflow
from pollflow import ConfigurationError, InvalidArgument
from pollflow.machine import MessageMetadata
from pollflow.runtime.app import attach, beat_schedule
from pollflow.runtime.celery_urls import VARIABLES
from pollflow.runtime.checks import check_consumed
from pollflow.store import ExecutionKey, ExecutionRef, Message, MessageKey, RedisLocation

REDIS = "redis://127.0.0.1:1/0"
SOCKET = "unix://:p%40s%2Fs@/run/a%20b.sock?db=6"
SOCKET_OF_CELERY = "redis+socket://:p%40s%2Fs@/run/a%20b.sock?virtual_host=6"


@pytest.fixture(autouse=True)
def no_redis_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLLFLOW_REDIS_URL", raising=False)


def app(broker: str = REDIS, **conf: object) -> Celery:
    celery = Celery("app", broker=broker)
    celery.conf.update(conf)
    return celery


def test_attach_adds_a_celery_task_per_step_type_and_for_the_sweep() -> None:
    celery = app()
    attach(celery, REDIS)
    assert {name for name in celery.tasks if name.startswith("pollflow.")} == {
        "pollflow.task",
        "pollflow.pass",
        "pollflow.wait",
        "pollflow.choice",
        "pollflow.parallel",
        "pollflow.foreach",
        "pollflow.succeed",
        "pollflow.fail",
        "pollflow.sweep",
    }


def test_attach_requires_a_visibility_timeout_of_twice_max_countdown() -> None:
    celery = app(broker_transport_options={"visibility_timeout": 100})
    with pytest.raises(
        ConfigurationError, match=r"visibility_timeout.* is 1 min 40 s.*pollflow_max_countdown to 50 or less"
    ):
        attach(celery, REDIS)
    celery.conf.pollflow_max_countdown = 50
    attach(celery, REDIS)


def test_long_times_in_a_refusal_are_exact() -> None:
    timeouts = {"visibility_timeout": 2_469_133}
    refusal = (
        r"is 28 days 13 h 52 min 13 s, but .* \(14 days 6 h 56 min 7 s\); "
        "set it to 2469134 or more, or pollflow_max_countdown to 1234566.5 or less"
    )
    with pytest.raises(ConfigurationError, match=refusal):
        attach(app(broker_transport_options=timeouts, pollflow_max_countdown=1_234_567), REDIS)


def test_a_redis_behind_sentinels_has_a_visibility_timeout_too() -> None:
    celery = app("sentinel://127.0.0.1:1", broker_transport_options={"visibility_timeout": 100, "master_name": "m"})
    with pytest.raises(ConfigurationError, match=r"visibility_timeout.* is 1 min 40 s"):
        attach(celery, "redis://127.0.0.1:1/0")


def test_a_broker_other_than_redis_has_no_visibility_timeout() -> None:
    celery = app("amqp://127.0.0.1:1", broker_transport_options={"visibility_timeout": 1})
    assert not attach(celery, REDIS).container.routes.in_script


@pytest.mark.parametrize(
    ("broker", "state", "in_script"),
    [
        # They may be two servers, and publishing over the broker connection is right in both cases.
        ("redis://localhost:1/0", "redis://127.0.0.1:1/0", False),
        ("redis://localhost:1/0", "redis://localhost:1?db=0", True),
        ("redis://[::1]:1/0", "redis://[0:0::1]:1", True),
        ("redis://127.0.0.1:1/6", "redis://127.0.0.1:1?db=6", True),
        ("rediss://127.0.0.1:1?ssl_cert_reqs=CERT_NONE", "rediss://127.0.0.1:1", True),
        ("redis://127.0.0.1:1", "redis://127.0.0.1:1/0", True),
        ("redis://:secret@127.0.0.1:1/0", "redis://:secret@127.0.0.1:1/0", True),
        ("redis://127.0.0.1:1/1", "redis://127.0.0.1:1/0", False),
        ("redis://127.0.0.1:2/0", "redis://127.0.0.1:1/0", False),
        ("redis+socket:///tmp/a.sock", "unix:///tmp/a.sock", True),
        ("redis+socket:///tmp/a.sock?virtual_host=1", "unix:///tmp/a.sock?db=1", True),
        ("redis+socket:///tmp/a.sock?virtual_host=1", "unix:///tmp/a.sock", False),
    ],
)
def test_scripts_publish_only_if_broker_and_state_share_a_database(broker: str, state: str, in_script: bool) -> None:
    assert attach(app(broker), state).container.routes.in_script is in_script


def test_messages_follow_the_routes_and_the_key_prefix_of_the_app() -> None:
    celery = app(
        task_default_queue="mine",
        task_routes={"pollflow.task": {"queue": "slow"}},
        broker_transport_options={"global_keyprefix": "team-"},
    )
    routes = attach(celery, REDIS).container.routes
    assert (routes.queue_of("task"), routes.queue_of("wait")) == ("slow", "mine")
    assert routes.lists() == {"team-slow", "team-mine"}


def test_state_that_is_not_in_redis_is_refused_without_showing_a_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        attach(app("amqp://user:secret@host"))
    assert "set pollflow_redis_url" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pollflow_max_countdown", "60", "must be of type float"),
        ("pollflow_max_countdown", -1, "must be more than 0"),
        ("pollflow_max_countdown_messages", 0, "must be more than 0"),
        ("pollflow_max_wait", float("inf"), "more than the limit of 1,000,000 days"),
        ("pollflow_max_countdown", 1, "at least twice pollflow_sweep_interval"),
        ("pollflow_lease", 1.5, "at least twice pollflow_sweep_interval"),
        ("pollflow_max_redelivery_timeout", 1.0, "at least pollflow_redelivery_timeout"),
        ("pollflow_retention", float("inf"), "more than the limit of 1,000,000 days"),
        ("pollflow_retention", float("nan"), "must be more than 0"),
        ("pollflow_max_events", 1.5, "must be of type int"),
        ("pollflow_sweep_in_workers", "no", "must be of type bool"),
    ],
)
def test_an_invalid_setting_is_refused_by_name(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        attach(app(**{name: value}), REDIS)
    assert name in str(caught.value)


def test_a_misspelt_setting_is_refused_with_the_near_name() -> None:
    with pytest.raises(ConfigurationError, match=r"pollflow_max_countdwn.*pollflow_max_countdown"):
        attach(app(pollflow_max_countdwn=60), REDIS)


@pytest.mark.parametrize("prefix", ["", "*", "5", "a:b", "a b", "a\n", "_a", "-a", "ä", "a" * 65, "pollflow:flow"])
def test_a_key_prefix_that_could_meet_other_keys_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match=r"pollflow_key_prefix: the key prefix must be 1 to 64 letters"):
        attach(app(pollflow_key_prefix=prefix), REDIS)
    with pytest.raises(InvalidArgument, match=r"key.prefix"):
        pollflow.Client(REDIS, key_prefix=prefix)


@pytest.mark.parametrize("prefix", ["a", "Team-2", "orders_eu", "a" * 64])
def test_any_other_key_prefix_is_accepted(prefix: str) -> None:
    assert attach(app(pollflow_key_prefix=prefix), REDIS).settings.key_prefix == prefix


def test_a_key_prefix_has_a_queue_of_its_own_which_workers_consume() -> None:
    celery = app(pollflow_key_prefix="orders", task_default_queue="mine")
    routes = attach(celery, REDIS).container.routes
    assert routes.lists() == {"mine.orders"}
    assert set(celery.amqp.queues.consume_from) == {"mine", "mine.orders"}
    # The sweep that beat sends, and steps that a worker publishes.
    assert {task.queue for name, task in celery.tasks.items() if name.startswith("pollflow.")} == {"mine.orders"}


def test_two_apps_of_one_process_have_step_tasks_of_their_own() -> None:
    first, second, plain = app(), app(pollflow_key_prefix="orders"), app()
    attach(first, REDIS)
    attach(second, REDIS)
    assert first.tasks["pollflow.task"].run is not second.tasks["pollflow.task"].run
    assert second.tasks["pollflow.task"].queue == "celery.orders"
    assert "pollflow.task" not in plain.tasks


def test_the_default_key_prefix_keeps_the_default_queue() -> None:
    celery = app()
    assert attach(celery, REDIS).container.routes.lists() == {"celery"}
    assert set(celery.amqp.queues.consume_from) == {"celery"}
    assert not hasattr(celery.tasks["pollflow.sweep"], "queue")


@pytest.mark.parametrize("route", [{"queue": "steps"}, "steps"])
def test_a_route_of_the_app_replaces_the_queue_of_the_key_prefix(route: object) -> None:
    celery = app(pollflow_key_prefix="orders", task_routes={"pollflow.*": route})
    attached = attach(celery, REDIS)
    assert attached.container.routes.lists() == {"steps"}
    assert attached.queues.send_options(celery, "pollflow.task") == {}


def test_steps_that_a_worker_publishes_go_to_the_queue_of_the_key_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    celery = app(pollflow_key_prefix="orders", task_serializer="pickle", accept_content=["json", "pickle"])
    attached = attach(celery, "redis://127.0.0.1:1/1")
    sent: list[dict[str, object]] = []
    monkeypatch.setattr(celery, "send_task", lambda name, **options: sent.append(options))
    key = MessageKey(ExecutionKey(ExecutionRef("f", "x"), "id"), "r", "token")
    attached.container.starter.publish(Message(key, MessageMetadata("task", "A", 1, 1)))
    assert (sent[0]["queue"], sent[0]["serializer"]) == ("celery.orders", "json")


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"accept_content": ["pickle"]}, r"accept_content is \['pickle'\].*add 'json' to it"),
        ({"accept_content": ["application/x-yaml", "msgpack"]}, "add 'json' to it"),
        ({"accept_content": []}, "add 'json' to it"),
        (
            {"task_create_missing_queues": False, "task_routes": {"pollflow.wait": "slow"}},
            "pollflow.wait have no queue",
        ),
        ({"task_routes": {"pollflow.*": {"exchange": "x", "routing_key": "y"}}}, "names no queue .* name one"),
        ({"task_routes": {"pollflow.*": {"queue": None}}}, "names no queue for pollflow.task"),
        ({"task_routes": {"pollflow.*": None}}, "task_routes has no route for pollflow.task: TypeError"),
        ({"task_routes": "no.such.module"}, "task_routes has no route for pollflow.task: ModuleNotFoundError"),
        ({"task_default_queue": ""}, "task_default_queue must be the name of a queue, not ''"),
        ({"task_default_queue": None, "pollflow_key_prefix": "orders"}, "the name of a queue, not None"),
        ({"accept_content": "json"}, r"accept_content is 'json', .*; use a list of serializers: \['json'\]"),
        ({"accept_content": ["json", "no such"]}, "which no worker can read: .*no such"),
        ({"accept_content": 5}, "accept_content is 5, which no worker can read"),
        ({"broker_transport_options": [("visibility_timeout", 3600)]}, "must be a dict, not list"),
        ({"broker_transport_options": {"global_keyprefix": None}}, "global_keyprefix'] must be a text, not None"),
        ({"broker_transport_options": {"priority_steps": 5}}, "priority_steps'] is 5, .* add 0 to it"),
        ({"broker_transport_options": {"visibility_timeout": float("nan")}}, "visibility_timeout'] is nan s"),
        ({"task_queues": [Queue("celery", Exchange("x", "fanout"))]}, "the queue celery .* has a fanout exchange"),
        ({"task_default_exchange_type": "fanout"}, "has a fanout exchange"),
        ({"task_queues": [Broadcast("all")], "task_default_queue": "all"}, "has a fanout exchange"),
        ({"broker_transport_options": {"priority_steps": [3, 6]}}, "priority_steps.* add 0 to it"),
        ({"broker_transport_options": {"visibility_timeout": "3600"}}, "must be a number, not '3600'"),
        ({"broker_use_ssl": True}, "broker_use_ssl = True has no effect on Redis; use a dict"),
        ({"broker_use_ssl": {"ssl_cert_reqs": "CERT_NONE"}}, "is 'CERT_NONE'; use a constant of ssl"),
        ({"broker_use_ssl": {"ssl_cert_reqs": 7}}, "is 7; use a constant of ssl"),
        ({"broker_use_ssl": {"cert_reqs": 0}}, "has the unknown option 'cert_reqs'; did you mean ssl_cert_reqs"),
    ],
)
def test_a_celery_setting_with_which_no_step_runs_is_refused(conf: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        attach(app(**conf), REDIS)


@pytest.mark.parametrize(
    "conf",
    [
        {"accept_content": ["application/json", "pickle"]},
        {"task_serializer": "pickle", "accept_content": ["json", "pickle"]},
        {"task_create_missing_queues": False},
        {"task_default_exchange_type": "topic"},
        {"broker_transport_options": {"priority_steps": [0, 5], "sep": ":", "queue_order_strategy": "priority"}},
        {"task_queues": [Queue("celery", queue_arguments={"x-max-priority": 9})]},
        {"broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_NONE}},
        {"task_always_eager": True, "enable_utc": False, "timezone": "Asia/Shanghai", "broker_pool_limit": None},
    ],
)
def test_other_celery_settings_are_accepted(conf: dict[str, object]) -> None:
    attach(app(**conf), REDIS)


@pytest.mark.parametrize(
    ("broker", "message"),
    [
        ("redis://h/?db=6", "write the database as its path, redis://HOST:PORT/N, not as db=N"),
        ("redis://h/3?virtual_host=4", "write the database as its path"),
        ("redis://h/0?socket_timeout=3", "unknown option 'socket_timeout'; set it in broker_transport_options"),
        ("rediss://h/0?ssl_cert_reqs=maybe", "ssl_cert_reqs must be CERT_REQUIRED"),
        ("rediss://h/0?ssl_foo=1", "has the unknown option 'ssl_foo'; known: ssl_cert_reqs"),
        ("redis://h/abc", "the path of the broker URL must be the number of a database"),
        ("redis://h:x/0", "with %-escapes in user and password"),
        ("unix://run/redis.sock", "result backend cannot be used: a URL of a unix socket has three slashes"),
        ("redis+socket:///run/redis.sock?db=6", "db= has no effect .*; write virtual_host="),
        ("redis+socket:///run/redis.sock?password=p", r"write redis\+socket://USER:PASSWORD@/PATH"),
        ("nosuch://h", "No such transport: nosuch"),
    ],
)
def test_a_broker_url_that_celery_cannot_use_is_refused(broker: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        attach(app(broker), REDIS)


def test_one_url_of_a_unix_socket_serves_state_broker_and_results() -> None:
    celery = Celery("app", broker=SOCKET, backend=SOCKET)
    attached = attach(celery, SOCKET)
    assert attached.location == attached.broker.location == RedisLocation.parse(SOCKET)
    assert attached.container.routes.in_script
    for connection in (celery.connection_for_read(), celery.connection_for_write()):
        assert connection.as_uri(include_password=True) == SOCKET_OF_CELERY
    assert celery.backend.connparams.items() >= {"path": "/run/a b.sock", "password": "p@s/s", "db": 6}.items()


def test_a_unix_url_is_accepted_in_each_setting_and_in_a_namespace() -> None:
    for name in ("broker_url", "broker_read_url", "broker_write_url", "result_backend"):
        celery = Celery("app", broker=REDIS)
        celery.config_from_object(SimpleNamespace(**{f"CELERY_{name.upper()}": SOCKET}), namespace="CELERY")
        attach(celery, SOCKET)
        assert celery.conf[name] == SOCKET_OF_CELERY


def test_a_unix_url_in_the_variables_of_celery_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, SOCKET)
    celery = Celery("app")
    attach(celery)
    assert {os.environ[variable] for variable in VARIABLES} == {SOCKET_OF_CELERY}
    assert celery.connection_for_read().as_uri(include_password=True) == SOCKET_OF_CELERY


@pytest.mark.parametrize("broker", ["redis://a:1;redis://b:1", ["redis://a:1", "redis://b:1"], "sentinel://a:1"])
def test_the_state_needs_a_url_of_its_own_if_the_broker_is_no_single_redis(broker: Any) -> None:
    celery = app()
    celery.conf.broker_url = broker
    with pytest.raises(ConfigurationError, match=r"one Redis database, which the broker .* is not; set pollflow_redis"):
        attach(celery)
    attached = attach(celery, "redis://a:1")
    assert not attached.container.routes.in_script


def test_a_list_of_one_broker_url_is_one_host() -> None:
    celery = app()
    celery.conf.broker_url = [REDIS]
    assert attach(celery).container.routes.in_script


def test_a_worker_that_reads_another_database_than_it_publishes_to_gets_no_message_from_scripts() -> None:
    celery = app(broker_read_url="redis://127.0.0.1:1/1", broker_write_url=REDIS)
    assert not attach(celery, REDIS).container.routes.in_script


@pytest.mark.parametrize("url", ["redis://a;redis://b", "redis://h?no_such=1", "unix://a/b", "redis://h/x", "http://h"])
def test_a_state_url_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the Redis URL of the state cannot be used: "):
        attach(app(pollflow_redis_url=url))


def test_the_state_uses_the_socket_of_the_broker() -> None:
    attached = attach(app("redis+socket://:pass@/run/redis.sock?virtual_host=6"))
    assert attached.location.state_url() == "unix://:pass@/run/redis.sock?db=6"
    assert attached.container.routes.in_script


@pytest.mark.parametrize("state", [None, REDIS])
def test_tls_and_credentials_of_the_app_are_used_for_the_state_too(state: str | None) -> None:
    celery = app(broker_use_ssl={"ssl_cert_reqs": "none"}, broker_user="me", broker_password="p@ss")
    location = attach(celery, state).location
    assert location.state_url() == "rediss://me:p%40ss@127.0.0.1:1/0?ssl_cert_reqs=CERT_NONE"


def test_the_certificate_of_the_state_is_verified_unless_the_app_says_otherwise() -> None:
    assert attach(app("rediss://127.0.0.1:1/0")).location.tls == {}
    assert attach(app("rediss://127.0.0.1:1/0?ssl_cert_reqs=none")).location.tls == {"ssl_cert_reqs": ssl.CERT_NONE}


def test_a_worker_that_consumes_no_step_queue_says_so(caplog: pytest.LogCaptureFixture) -> None:
    celery = app(pollflow_key_prefix="orders")
    routes = attach(celery, REDIS).container.routes
    check_consumed(celery, routes)
    assert not caplog.records
    celery.amqp.queues.select(["celery"])  # as -Q celery does
    check_consumed(celery, routes)
    assert "this worker runs no steps" in caplog.text
    assert "-Q celery.orders" in caplog.text


def test_the_beat_entry_expires_when_it_is_not_consumed() -> None:
    assert beat_schedule(7) == {"pollflow-sweep": {"task": "pollflow.sweep", "schedule": 7, "options": {"expires": 7}}}


def test_the_public_names_are_sorted_and_exist() -> None:
    assert pollflow.__all__ == sorted(pollflow.__all__)
    assert all(hasattr(pollflow, name) for name in pollflow.__all__)
