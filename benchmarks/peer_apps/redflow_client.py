"""Starts runs of redflow and waits for their ends, for each line `NUMBER POLLS` of standard input."""

from __future__ import annotations

import asyncio
import os
import sys

from redflow import create_client
from redis.asyncio import Redis

PREFIX = "redflow:v1"
SUCCEEDED, FAILED = f"{PREFIX}:runs:status:succeeded", f"{PREFIX}:runs:status:failed"


async def main() -> None:
    """Answer each line with `done` or `failed`."""
    redis = Redis.from_url(os.environ["POLLFLOW_REDIS_URL"])
    client = create_client(redis=redis, app="bench", prefix=PREFIX)
    for line in sys.stdin:
        number, polls = map(int, line.split())
        expected = await redis.zcard(SUCCEEDED) + number
        for _ in range(number):
            await client.emit_workflow("poll", {"polls": polls})
        while await redis.zcard(SUCCEEDED) < expected and not await redis.zcard(FAILED):
            await asyncio.sleep(0.05)
        print("failed" if await redis.zcard(FAILED) else "done", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
