"""A hostile definition costs at most 10 times the CPU time of an ordinary one of its size, and at most 200 MB.

Most are measured at a sixteenth of the largest size by a lower limit, those that may cost most at the largest size too.
An analysis whose costs grow with the square of the size exceeds one of the limits.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.definitions import DEFINITIONS
from tests.hostile.measuring import ORDINARY

MIB = 1 << 20
SMALL = MIB // 16
MEMORY_BYTES = 200_000_000
MAX_RATIO, MAX_SMALL_RATIO = 10, 4
LARGE = (
    "similar names, wrong targets",
    "a target of marks",
    "all choices lead to all",
    "loops of one step",
    "keys read in a loop of 500 steps",
    "wrong mappings",
    "parameters below long keys",
    "a duration of many parts",
)
LEAST_BYTES = 30_000
"""A smaller definition, such as one of aliases, may cost as much as an ordinary one of so many bytes."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units"),
]


def costs_of(size: int, names: list[str]) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "tests.hostile.measuring", str(size), ORDINARY, *names]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    costs = [json.loads(line) for line in run.stdout.splitlines()]
    return {cost["name"]: cost for cost in costs}


def too_costly(size: int, names: list[str], limit: float) -> dict[str, str]:
    """Return the definitions that exceed a limit, with their costs. Those are measured twice."""
    for _ in range(2):
        costs = costs_of(size, names)
        ordinary = costs.pop(ORDINARY)
        per_byte = ordinary["seconds"] / ordinary["size"]
        found = {name: "ended its process" for name in names if name not in costs}
        for name, cost in costs.items():
            ratio = cost["seconds"] / per_byte / max(cost["size"], LEAST_BYTES)
            if ratio > limit or cost["memory_bytes"] > MEMORY_BYTES:
                found[name] = f"{ratio:.1f} times an ordinary one, {cost['memory_bytes'] / 1e6:.0f} MB"
        if not found:
            break
        names = list(found)
    return found


def test_no_dimension_costs_much_more_than_an_ordinary_definition() -> None:
    assert too_costly(SMALL, list(DEFINITIONS), MAX_SMALL_RATIO) == {}


def test_the_costliest_definitions_of_the_largest_size_are_bounded() -> None:
    assert too_costly(MIB - 1000, list(LARGE), MAX_RATIO) == {}
