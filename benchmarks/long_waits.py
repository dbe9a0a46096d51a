"""What a worker and Redis keep for long waits: `python benchmarks/long_waits.py [--waits 20000] [--seconds 604800]`.

Starts so many executions that wait for a week, lets one worker enter the waits, and looks at what is published and at
the memory of the worker's main process before and after. A worker holds what ends within the horizon, and no more.
With a million it tells what it sees after each hundred thousand. Redis keeps no file: the disk is not what is measured.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from redis import Redis

from pollflow import Client
from pollflow.server import EmbeddedServer

TOLD_EVERY = 100_000
PROJECT = Path(__file__).parent.parent
FLOW = """
version: v1
type: flow
steps:
  - {type: wait, name: Wait, duration: $.seconds}
  - {type: pass, name: After}
"""


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def published(redis: Redis) -> int:
    return int(redis.llen("celery")) + int(redis.hlen("unacked"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--waits", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=7 * 86_400)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder) / "redis")
        server.start()
        env = {**os.environ, "POLLFLOW_REDIS_URL": server.url}
        with (Path(folder) / "worker.log").open("wb") as log:
            command = [sys.executable, "-m", "celery", "-A", "worker", "worker", "-l", "WARNING", "-c", "2"]
            worker = subprocess.Popen(command, cwd=PROJECT, env=env, stdout=log, stderr=log)
        client, redis = Client(server.url), Redis.from_url(server.url)
        client.deploy_text(FLOW, "long")
        try:
            redis.config_set("appendonly", "no")
            client.start("long", {"seconds": 0}).wait(60)
            for _ in range(500):
                client.start("long", {"seconds": arguments.seconds})
            idle(redis)
            before, memory = rss_mb(worker.pid), redis.info("memory")["used_memory"]
            print(f"worker (main process): {before:.1f} MB before")
            for number in range(1, arguments.waits + 1):
                client.start("long", {"seconds": arguments.seconds})
                if number % TOLD_EVERY == 0 or number == arguments.waits:
                    idle(redis)
                    kept = (redis.info("memory")["used_memory"] - memory) / number
                    print(
                        f"{number} waits of {arguments.seconds} s: published {published(redis)}, "
                        f"worker {rss_mb(worker.pid):.1f} MB, Redis {kept:.0f} bytes for each",
                        flush=True,
                    )
        finally:
            worker.terminate()
            worker.wait()
            client.close()
            redis.close()
            server.stop()


def idle(redis: Redis) -> None:
    """Waits until the queue has been empty for two seconds."""
    empty_since = time.monotonic()
    while time.monotonic() - empty_since < 2:
        if published(redis):
            empty_since = time.monotonic()
        time.sleep(0.1)


if __name__ == "__main__":
    main()
