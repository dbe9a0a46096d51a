"""A clock that jumps and is corrected delays no wait by more than the correction. History times never decrease."""

from __future__ import annotations

import pytest

from pollflow.store import ExecutionRef
from tests.contract.conftest import Bench
from tests.flows import WAIT

HOUR = 3600.0


def run_until_ended(bench: Bench, ref: ExecutionRef, limit: int) -> int:
    """Work and sweep once per second. Return the seconds until the execution has ended, at most `limit`."""
    for second in range(limit):
        bench.sweep()
        for _ in range(len(bench.queued())):
            key = bench.take()
            # A worker handles a message only after its countdown.
            frame = bench.container.reading.frame(ref, "r")
            if frame is None or frame.due <= bench.container.reading.now():
                bench.container.engine.handle(key)
        if bench.status(ref) != "Running":
            return second
        bench.pass_time(1)
    return limit


def test_a_wait_that_began_in_a_jump_is_late_by_the_correction_at_most(bench: Bench) -> None:
    ref = bench.start(WAIT, {"seconds": 10})
    bench.pass_time(100)
    bench.handle_next()
    bench.pass_time(-100)
    assert run_until_ended(bench, ref, 300) <= 100 + 10 + 5


@pytest.mark.parametrize("seconds", [5, 90])
def test_a_failover_to_a_clock_ten_seconds_behind_delays_a_wait_by_that(bench: Bench, seconds: int) -> None:
    ref = bench.start(WAIT, {"seconds": seconds})
    bench.handle_next()
    bench.pass_time(-10)
    assert seconds <= run_until_ended(bench, ref, 300) <= seconds + 10 + 5


def test_the_times_of_a_history_never_decrease(bench: Bench) -> None:
    ref = bench.start(WAIT, {"seconds": 5})
    bench.handle_next()
    bench.pass_time(-HOUR)
    run_until_ended(bench, ref, 10)
    bench.pass_time(HOUR)
    run_until_ended(bench, ref, 60)
    times = [event.at for event in bench.history(ref)]
    assert bench.status(ref) == "Succeeded" and times == sorted(times)
