"""The Python examples of the README run unchanged."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.processes import Processes
from tests.servers import RedisServer
from tests.workers import PROJECT, Workers

pytestmark = pytest.mark.process

BLOCKS = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), re.S)


def block_with(text: str) -> str:
    (found,) = (block for block in BLOCKS if text in block)
    return "\n".join(line.removeprefix("   ") for line in found.splitlines()) if found.startswith("   ") else found


def test_the_python_example_starts_an_execution_and_waits_for_it(
    workers: Workers, processes: Processes, redis_server: RedisServer
) -> None:
    workers.start()
    script = block_with("pollflow.Client(app)") + block_with("start_many") + '\nprint(len(executions), "started")\n'
    run = processes.start("readme", [sys.executable, "-c", script], cwd=PROJECT)
    run.wait_for_output("ExecutionSucceeded", timeout=60)
    run.wait_for_output("2 started", timeout=10)
    assert run.process.wait(10) == 0
    assert "Succeeded {'job_id':" in run.output()


def test_the_function_example_registers_a_function(processes: Processes, tmp_path: Path) -> None:
    script = block_with("@pollflow.function") + '\nprint(start_job.__name__, "is registered")\n'
    run = processes.start("function", [sys.executable, "-c", script], cwd=tmp_path)
    assert run.process.wait(30) == 0, run.output()
    assert "start_job is registered" in run.output()


def test_the_app_example_attaches(processes: Processes, tmp_path: Path) -> None:
    script = block_with("pollflow.attach(app)") + '\nprint(sorted(t for t in app.tasks if t.startswith("pollflow")))\n'
    run = processes.start("app", [sys.executable, "-c", script], cwd=tmp_path)
    assert run.process.wait(30) == 0, run.output()
    assert "pollflow.choice" in run.output()
