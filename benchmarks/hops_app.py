"""The Celery app of the benchmark `hops`: pollflow, or a hand-written chain of tasks, by BENCH_VARIANT."""

from __future__ import annotations

import os

from celery import Celery
from redis import Redis

import pollflow

url = os.environ["POLLFLOW_REDIS_URL"]
app = Celery("hops", broker=url)
app.conf.broker_connection_retry_on_startup = True

if os.environ["BENCH_VARIANT"] == "pollflow":
    pollflow.attach(app, url)
else:
    redis = Redis.from_url(url)
    # The minimum for a chain with durable state: store the position, and detect a repeated message.
    commit = redis.register_script(
        "if redis.call('HGET', KEYS[1], 'at') ~= ARGV[1] then return 0 end "
        "return redis.call('HINCRBY', KEYS[1], 'at', 1)"
    )

    @app.task(name="hop", ignore_result=True)
    def hop(chain: str, number: int, length: int) -> None:
        if not commit(keys=[chain], args=[number]):
            return
        if number + 1 < length:
            hop.apply_async((chain, number + 1, length))
        else:
            redis.lpush("ended", chain)
