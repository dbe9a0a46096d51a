from __future__ import annotations

import pytest

from pollflow.amounts import duration, over_limit, too_deep


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "0.25 s"),
        (59.9, "59.9 s"),
        (100, "1 min 40 s"),
        (3600, "1 h"),
        (86_400, "1 day"),
        (31_536_000, "365 days"),
        (31_536_000.5, "365 days 0.5 s"),
        (1_811_808_000.0, "20,970 days"),
        (-60, "-1 min"),
        (10**400, "1e+15 s or more"),
        (float("inf"), "1e+15 s or more"),
        (float("nan"), "nan s"),
    ],
)
def test_a_duration_is_exact(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_message_about_a_limit_has_value_limit_and_setting() -> None:
    assert over_limit("the execution has 251,000 events", 250_000, "max_events") == (
        "the execution has 251,000 events, more than the limit of 250,000 (pollflow_max_events)"
    )
    assert over_limit("the wait takes 2 days", duration(86_400)) == (
        "the wait takes 2 days, more than the limit of 1 day"
    )
    assert too_deep("the input", 200) == "the input is nested at least 201 levels deep, more than the limit of 200"
