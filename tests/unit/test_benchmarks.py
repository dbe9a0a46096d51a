"""The arithmetic of the benchmarks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import pytest

from benchmarks.cpu import children_seconds, process_seconds
from benchmarks.figures import Round, comparison, table

CPU_OF_RAW = ["3,000 (3,000-3,000)", "1,500 (1,500-1,500)", "4,500 (4,500-4,500)"]
BUSY = "import time\nwhile time.process_time() < 0.1: pass\n"
WAIT = "import sys\nprint(flush=True)\nsys.stdin.read()\n"
# A leader with a child that has ended and one that runs; both have used CPU, the leader has only waited.
GROUP = f"""
import subprocess, sys
session = sys.argv[1] == "session"
subprocess.run([sys.executable, "-c", {BUSY!r}])
child = subprocess.Popen([sys.executable, "-c", {BUSY + WAIT!r}], stdout=subprocess.PIPE, start_new_session=session)
child.stdout.readline()
{WAIT}
"""


def rounds(*seconds: float, cpu: float) -> list[Round]:
    """Return rounds of 100 units that take the given wall times."""
    return [Round(100, wall, {"main": cpu, "server": cpu / 2}) for wall in seconds]


def test_a_round_is_compared_with_the_round_of_the_baseline_before_it() -> None:
    # The machine is slow in the second round. The ratio of the medians would be 2.0 instead of 2.5.
    raw, ours = rounds(1.0, 5.0, 2.0, cpu=0.3), rounds(0.5, 2.0, 0.5, cpu=0.2)
    found = comparison("raw", {"raw": "hop", "ours": "step"}, {"raw": raw, "ours": ours})
    assert found["rounds"] == 3
    assert found["baseline"] == "raw"
    assert found["variants"]["ours"] == {
        "unit": "step",
        "units_per_second": {"median": 200.0, "min": 50.0, "max": 200.0},
        "rate_ratio": {"median": 2.5, "min": 2.0, "max": 4.0},
        "cpu_us_per_unit": {
            "main": {"median": 2000.0, "min": 2000.0, "max": 2000.0},
            "server": {"median": 1000.0, "min": 1000.0, "max": 1000.0},
            "total": {"median": 3000.0, "min": 3000.0, "max": 3000.0},
        },
        "cpu_ratio": {"median": 0.667, "min": 0.667, "max": 0.667},
    }
    assert found["variants"]["raw"]["rate_ratio"] == {"median": 1.0, "min": 1.0, "max": 1.0}


def test_every_round_needs_one_of_the_baseline() -> None:
    with pytest.raises(ValueError, match="shorter"):
        comparison("raw", {"raw": "hop", "ours": "step"}, {"raw": rounds(1, cpu=1), "ours": rounds(1, 2, cpu=1)})


def test_the_table_writes_ratios_to_the_baseline() -> None:
    raw, ours = rounds(1.0, 1.0, 1.0, cpu=0.3), rounds(0.8, 0.7, 0.9, cpu=0.2)
    data = comparison("raw", {"raw": "hop", "ours": "step"}, {"raw": raw, "ours": ours})
    *_, first, second = table({"polls": {"load_1m": 0.5, "server": "valkey 9.1.2", **data}})
    assert re.split(r" {2,}", first) == ["polls", "raw", "hop", "100 (100-100)", *CPU_OF_RAW]
    assert "1.25 x raw (1.11-1.43)" in second
    assert second.endswith("0.67 x raw (0.67-0.67)")


def test_the_cpu_time_of_a_process_is_that_of_its_own_clock() -> None:
    before = time.process_time()
    found = process_seconds(os.getpid())
    assert before <= found <= time.process_time()


# PostgreSQL gives each backend a session of its own.
@pytest.mark.parametrize("where", ["group", "session"])
def test_ended_and_running_children_count(where: str) -> None:
    command = [sys.executable, "-c", GROUP, where]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        assert children_seconds(leader.pid) >= 0.2 - 1 / os.sysconf("SC_CLK_TCK")
        leader.communicate()
