"""A chaos run as CI does it: three minutes of faults lose no work and commit nothing twice.

POLLFLOW_CHAOS_SEED repeats the load and the faults of an earlier run.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.chaos.harness import RunOptions, run

pytestmark = pytest.mark.process

# The second pass of CI, on another server, need not take as long.
DURATION = 60 if os.environ.get("POLLFLOW_TEST_SERVER") else 185


def test_a_chaos_run_loses_and_duplicates_no_work(tmp_path: Path) -> None:
    seed = int(os.environ.get("POLLFLOW_CHAOS_SEED") or random.randrange(2**31))
    summary = run(RunOptions(seed, DURATION, folder=tmp_path))
    print(summary)  # noqa: T201 - what pytest shows when this fails
    assert summary.problems == [], f"seed {seed}: {summary}"
    assert summary.executions >= min(200, DURATION)
    assert summary.fault_count >= min(30, DURATION / 6.2)
