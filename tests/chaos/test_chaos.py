"""A chaos run as CI does it: three minutes of faults lose no work and commit nothing twice.

POLLFLOW_CHAOS_SEED repeats the load and the faults of an earlier run.
"""

from __future__ import annotations

import os
import random
from itertools import pairwise
from pathlib import Path

import pytest

from tests.chaos.harness import RunOptions, run
from tests.chaos.plan import faults

# The second pass of CI, on another server, need not take as long.
DURATION = 60 if os.environ.get("POLLFLOW_TEST_SERVER") else 185


@pytest.mark.process
def test_a_chaos_run_loses_and_duplicates_no_work(tmp_path: Path) -> None:
    seed = int(os.environ.get("POLLFLOW_CHAOS_SEED") or random.randrange(2**31))
    summary = run(RunOptions(seed, DURATION, folder=tmp_path))
    print(summary)  # noqa: T201 - what pytest shows when this fails
    assert summary.problems == [], f"seed {seed}: {summary}"
    assert summary.executions >= min(200, DURATION)
    # A fault is skipped when the process that it was meant for has just ended.
    assert summary.fault_count >= 0.8 * len(faults(seed, DURATION))


@pytest.mark.parametrize(("duration", "count"), [(60, 11), (185, 36), (1800, 359)])
def test_the_number_of_faults_does_not_depend_on_the_seed(duration: float, count: int) -> None:
    for seed in range(200):
        planned = faults(seed, duration)
        assert len(planned) == count
        assert planned[0].at >= 3
        assert planned[-1].at <= duration - 3.9
        assert all(later.at - earlier.at > 2 for earlier, later in pairwise(planned))
