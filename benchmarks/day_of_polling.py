"""Polling every ten seconds for a day: time per loop at the end against the start, and memory of the execution.

Time is virtual; the store, its scripts and the engine are those of production. The baseline is the first hundredth of
the run itself.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from benchmarks.frame import PROJECT, Report, site
from pollflow import Context
from pollflow.fdl import read_flow
from pollflow.store import connect
from pollflow.testing import RunResult, VirtualRun

TARGET_MB = 2
FLOW = PROJECT / "flows" / "task_polling.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("loops", type=int, nargs="?", default=8640, help="8,640 loops are about 130,000 events")


class Measured(VirtualRun):
    """Measure the keys of the execution before they are deleted."""

    kept: dict[str, int]

    def _result(self, until: float | None) -> RunResult:
        client = self._client
        keys = [key for key in client.scan_iter(f"{self._prefix}:*") if "flow/test" in key]
        self.kept = {key.split(":")[2]: client.memory_usage(key, samples=0) for key in keys}
        reading = self._container.reading
        execution = reading.execution(self._ref).key
        started = time.perf_counter()
        reading.history(execution, after=1000, limit=100)
        self.page_seconds = time.perf_counter() - started
        return super()._result(until)


def run(options: argparse.Namespace) -> Report:
    """Poll `loops` times and compare the last hundredth with the first."""
    loops, times = options.loops, list[float]()

    def status(input: dict[str, Any], context: Context) -> dict[str, Any]:
        times.append(time.perf_counter())
        done = len(times) >= loops
        return {"job_id": "J", "job_status": "success" if done else "running", "try_count": input["try_count"] + 1}

    flow = read_flow(FLOW.read_text().replace("$.try_count > 3", f"$.try_count > {loops}"))
    functions = {"StartJob": lambda input, context: {"job_id": "J"}, "GetJobStatus": status}
    with site() as at:
        measured = Measured(flow, {"delay": loops * 10}, functions=functions, client=connect(at.url))
        result = measured.run()
        slowlog: Any = at.redis.slowlog_get(100)
    part = max(1, loops // 100)
    first, last = (times[part] - times[0]) / part, (times[-1] - times[-1 - part]) / part
    data = {
        "status": result.status.value,
        "loops": loops,
        "events": len(result.history),
        "virtual_seconds": round(result.seconds),
        "first_ms": round(first * 1000, 2),
        "last_ms": round(last * 1000, 2),
        "ratio": round(last / first, 2),
        "kept_bytes": measured.kept,
        "page_ms": round(measured.page_seconds * 1000, 1),
        "slowest_command_ms": max((entry["duration"] for entry in slowlog), default=0) / 1000,
    }
    return Report(_lines(data), data)


def _lines(data: dict[str, Any]) -> list[str]:
    kept = data["kept_bytes"]
    return [
        f"{data['status']}: {data['loops']} loops, {data['events']} events, {data['virtual_seconds']} virtual seconds",
        f"a loop: {data['first_ms']} ms at the start, {data['last_ms']} ms at the end, ratio {data['ratio']}",
        f"kept: {sum(kept.values()) / 1e6:.2f} MB, target {TARGET_MB} MB {kept}",
        f"a page of 100 old events: {data['page_ms']} ms; slowest command {data['slowest_command_ms']:.1f} ms",
    ]
