from __future__ import annotations

import pytest
from celery import Celery

import pollflow
from pollflow import ConfigurationError
from pollflow.runtime.app import attach, beat_schedule

REDIS = "redis://127.0.0.1:1/0"


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
        ConfigurationError, match=r"visibility_timeout.* is 100 s.*pollflow_max_countdown to 50 or less"
    ):
        attach(celery, REDIS)
    celery.conf.pollflow_max_countdown = 50
    attach(celery, REDIS)


def test_a_redis_behind_sentinels_has_a_visibility_timeout_too() -> None:
    celery = app("sentinel://127.0.0.1:1", broker_transport_options={"visibility_timeout": 100, "master_name": "m"})
    with pytest.raises(ConfigurationError, match=r"visibility_timeout.* is 100 s"):
        attach(celery, "redis://127.0.0.1:1/0")


def test_a_broker_other_than_redis_has_no_visibility_timeout() -> None:
    celery = app("amqp://127.0.0.1:1", broker_transport_options={"visibility_timeout": 1})
    assert not attach(celery, REDIS).container.routes.in_script


@pytest.mark.parametrize(
    ("broker", "state", "in_script"),
    [
        ("redis://localhost:1/0", "redis://127.0.0.1:1/0", True),
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
        ("pollflow_max_wait", float("inf"), "more than the limit of 1,000,000 days"),
        ("pollflow_max_countdown", 1, "at least twice pollflow_sweep_interval"),
        ("pollflow_max_events", 1.5, "must be of type int"),
        ("pollflow_sweep_in_workers", "no", "must be of type bool"),
    ],
)
def test_an_invalid_setting_is_refused_by_name(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        attach(app(**{name: value}), REDIS)
    assert name in str(caught.value) or "pollflow_sweep_interval" in str(caught.value)


def test_a_misspelt_setting_is_refused_with_the_near_name() -> None:
    with pytest.raises(ConfigurationError, match=r"pollflow_max_countdwn.*pollflow_max_countdown"):
        attach(app(pollflow_max_countdwn=60), REDIS)


def test_the_beat_entry_expires_when_it_is_not_consumed() -> None:
    assert beat_schedule(7) == {"pollflow-sweep": {"task": "pollflow.sweep", "schedule": 7, "options": {"expires": 7}}}


def test_the_public_names_are_sorted_and_exist() -> None:
    assert pollflow.__all__ == sorted(pollflow.__all__)
    assert all(hasattr(pollflow, name) for name in pollflow.__all__)
