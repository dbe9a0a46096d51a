"""A job of a day, polled every ten seconds: what a round costs at the end, and what the execution keeps in Redis.

    python benchmarks/day_of_polling.py            # 8,640 rounds, some 130,000 events
    python benchmarks/day_of_polling.py 864        # a tenth of it

Time is frozen and moved by hand; the store, its scripts and the engine are those of production. The baseline is the
first hundredth of the run itself.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from redis import Redis

from pollflow import Context
from pollflow.fdl import read_flow
from pollflow.server import EmbeddedServer
from pollflow.store import connect
from pollflow.testing import RunResult, VirtualRun

FLOW = Path(__file__).parents[1] / "flows" / "task_polling.yaml"


class Measured(VirtualRun):
    """Looks at the keys before they are deleted."""

    kept: dict[str, int]

    def _result(self, until: float | None) -> RunResult:
        client = self._client
        keys = [key for key in client.scan_iter(f"{self._prefix}:*") if "flow/test" in key]
        self.kept = {key.split(":")[2]: client.memory_usage(key, samples=0) for key in keys}
        started = time.perf_counter()
        self._container.reading.history(self._ref, after=1000, limit=100)
        self.page_seconds = time.perf_counter() - started
        return super()._result(until)


def main(loops: int) -> None:
    moments: list[float] = []

    def status(input: dict[str, Any], context: Context) -> dict[str, Any]:
        moments.append(time.perf_counter())
        done = len(moments) >= loops
        return {"job_id": "J", "job_status": "success" if done else "running", "try_count": input["try_count"] + 1}

    flow = read_flow(FLOW.read_text().replace("$.try_count > 3", f"$.try_count > {loops}"))
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        try:
            functions = {"StartJob": lambda input, context: {"job_id": "J"}, "GetJobStatus": status}
            run = Measured(flow, {"delay": loops * 10}, functions=functions, client=connect(server.url))
            result = run.run()
            with Redis.from_url(server.url) as client:
                slowest = max((entry["duration"] for entry in client.slowlog_get(100)), default=0) / 1000
        finally:
            server.stop()
    part = max(1, loops // 100)
    first, last = (moments[part] - moments[0]) / part, (moments[-1] - moments[-1 - part]) / part
    print(f"{result.status.value}: {loops} rounds, {len(result.history)} events, {result.seconds:.0f} virtual seconds")
    print(f"a round: {first * 1000:.2f} ms at the start, {last * 1000:.2f} ms at the end, ratio {last / first:.2f}")
    print(f"kept: {sum(run.kept.values()) / 1e6:.2f} MB {run.kept}")
    print(f"a page of 100 old events: {run.page_seconds * 1000:.1f} ms; slowest command {slowest:.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8640)
