"""A client of an app whose broker is not the Redis of the state: it publishes on the app's broker connection."""

from __future__ import annotations

import pytest
from celery import Celery
from redis import Redis

import pollflow
from pollflow.runtime.app import Attached, attach

FLOW = "version: v1\ntype: flow\nsteps: [{type: pass, name: A}]\n"


@pytest.fixture
def attached(store_url: str) -> Attached:
    app = Celery("app", broker=store_url.removesuffix("/0") + "/1")
    app.conf.task_default_queue = "mine"
    return attach(app, store_url)


def queued(attached: Attached) -> int:
    with Redis.from_url(attached.broker.location.state_url()) as broker:
        return int(broker.llen("mine"))


def register(attached: Attached) -> None:
    container = attached.container
    container.routes.save(container.directory, attached.settings)


def start(attached: Attached) -> None:
    with pollflow.Client(attached.app) as client:
        client.deploy_text(FLOW, "flow")
        client.start("flow", name="one")


def test_a_start_is_published_at_once(attached: Attached) -> None:
    register(attached)
    start(attached)
    assert queued(attached) == 1


def test_without_workers_on_this_redis_nothing_goes_to_the_broker(attached: Attached) -> None:
    start(attached)
    assert queued(attached) == 0


def test_a_client_with_a_url_leaves_the_message_to_the_sweep(attached: Attached) -> None:
    register(attached)
    with pollflow.Client(attached.location.state_url()) as client:
        client.deploy_text(FLOW, "flow")
        client.start("flow", name="one")
    assert queued(attached) == 0


def test_limits_and_key_prefix_are_those_of_the_app(store_url: str) -> None:
    app = Celery("app", broker=store_url)
    app.conf.update(pollflow_key_prefix="shop", pollflow_max_wait=9.0)
    attach(app)
    with pollflow.Client(app) as client:
        with pytest.raises(pollflow.DefinitionError, match="more than the limit of 9 s"):
            client.deploy_text(FLOW.replace("type: pass", "type: wait, duration: 10"), "flow")
        client.deploy_text(FLOW, "flow")
    with Redis.from_url(store_url) as redis:
        assert all(key.startswith(b"shop") for key in redis.scan_iter("*flow*"))
