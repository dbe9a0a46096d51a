"""Celery settings that `attach` accepts, with real workers: steps run, wait and loop under each of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis import Redis

from pollflow import Client
from tests.process.jobs import Jobs
from tests.process.polling import FLOW, assert_sound

pytestmark = pytest.mark.process

NO_RECOVERY = {"pollflow_redelivery_timeout": 600.0}
"""A lost message is published again only after the time in which the test would have failed."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "conf",
    [
        {"task_serializer": "yaml", "accept_content": ["json", "yaml"]},
        {"enable_utc": False, "timezone": "Asia/Shanghai"},
        {"task_protocol": 1},
        {"task_default_exchange_type": "topic", "task_default_exchange": "x", "task_default_routing_key": "a.b"},
        {"broker_transport_options": {"priority_steps": [0, 5], "sep": ":", "queue_order_strategy": "priority"}},
        {"broker_transport_options": {"global_keyprefix": "team-"}, "task_queue_max_priority": 9},
        {"task_always_eager": True, "task_acks_late": True, "task_reject_on_worker_lost": True},
        {"broker_pool_limit": None, "worker_disable_rate_limits": True, "task_compression": "gzip"},
        {"task_default_queue": "mine", "task_create_missing_queues": False, "task_default_queue_type": "quorum"},
    ],
    ids=lambda conf: next(iter(conf)),
)
@pytest.mark.parametrize("database", ["0", "1"], ids=["published by scripts", "published by workers"])
def test_steps_run_with_a_setting_that_attach_accepts(jobs: Jobs, conf: dict[str, Any], database: str) -> None:
    jobs.processes.env["POLLFLOW_TEST_BROKER"] = jobs.url.removesuffix("0") + database
    jobs.worker("-c", "1", **NO_RECOVERY, **conf)
    execution = jobs.client.start("polling", {"wait": 0.5, "done_at": 2}).wait(90)
    assert execution.status == "Succeeded"
    assert_sound(execution)


def test_two_apps_on_one_redis_lose_no_message_to_each_other(jobs: Jobs) -> None:
    jobs.worker("-c", "1", name="worker-one", pollflow_key_prefix="one", **NO_RECOVERY)
    jobs.worker("-c", "1", name="worker-two", pollflow_key_prefix="two", **NO_RECOVERY)
    with Client(jobs.url, key_prefix="one") as one, Client(jobs.url, key_prefix="two") as two:
        for client in (one, two):
            client.deploy_text(FLOW, "polling")
        started = [client.start("polling", {"wait": 0.1, "done_at": 3}) for client in (one, two) for _ in range(4)]
        for execution in started:
            assert execution.wait(90).status == "Succeeded"
            assert_sound(execution)
    with Redis.from_url(jobs.url, decode_responses=True) as redis:
        queues = [json.loads(redis.hget(f"{prefix}:route", "queues"))["task"] for prefix in ("one", "two")]
        assert queues == ["celery.one", "celery.two"]
