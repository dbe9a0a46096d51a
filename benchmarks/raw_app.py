"""The baseline `raw`: a chain of Celery tasks that run one script each, without any guarantee.

Everything of Celery is as by default, with acknowledgements. The pool is that of the worker's options.
"""

from __future__ import annotations

import os

from celery import Celery
from redis import Redis

url = os.environ["POLLFLOW_REDIS_URL"]
app = Celery("raw", broker=url)
app.conf.broker_connection_retry_on_startup = True
redis = Redis.from_url(url)
# The minimum for a chain with a stored state and a history.
record = redis.register_script(
    "redis.call('HSET', KEYS[1], 'at', ARGV[1]) return redis.call('RPUSH', KEYS[2], ARGV[1])"
)


@app.task(name="hop", ignore_result=True)  # type: ignore[untyped-decorator]
def hop(chain: str, number: int, length: int) -> None:
    """Record hop `number` of a chain, and send the next one."""
    record(keys=[f"state:{chain}", f"history:{chain}"], args=[number])
    if number < length:
        hop.apply_async((chain, number + 1, length))
    else:
        redis.zadd("ended", {chain: number})
