"""Long lists of steps are compared in a time that grows with their length only."""

from __future__ import annotations

from pollflow.testing.compare import side_by_side
from tests.bounds import bounded_time


def test_many_equal_steps_in_another_order_are_compared_at_once() -> None:
    expected, actual = ["a", "b"] * 5000, ["b", "a", "a"] * 4000
    with bounded_time(2):
        text = side_by_side("steps", expected, actual)
    assert "a" in text


def test_a_missing_step_is_one_difference() -> None:
    lines = side_by_side("steps", ["a", "b", "c"], ["a", "c"]).splitlines()
    assert sum("b" in line for line in lines) == 1
