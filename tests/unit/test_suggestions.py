"""Suggestions are the most similar names, and cost little however many and long the names are."""

from __future__ import annotations

from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollflow.suggestions import _Pattern, near, nearest
from tests.bounds import bounded_time

WORDS = st.text("abc", max_size=12)


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("Weekly", ["weekly", "daily"], "weekly"),
        ("houry", ["weekly", "hourly"], "hourly"),
        ("s/stat", ["s/start", "s/state"], "s/state"),
        ("seconds", ["name", "type"], None),
        ("", ["a", ""], None),
        ("a" * 129, ["a" * 129], None),
        ("a" * 100, ["a" * 300, "a" * 99], "a" * 99),
    ],
)
def test_the_most_similar_name_is_suggested(word: str, known: list[str], meant: str | None) -> None:
    assert near(word, known) == meant


def test_several_names_are_in_the_order_of_their_similarity() -> None:
    assert nearest("jobs/stat", ["x", "jobs/start", "jobs/state", "jobs/stat2", "jobs/stat"], count=3) == [
        "jobs/stat",
        "jobs/state",
        "jobs/stat2",
    ]


@given(WORDS, WORDS)
def test_similarity_is_symmetric_and_at_least_that_of_difflib(one: str, other: str) -> None:
    similarity = _Pattern(one).similarity(other, 0)
    assert similarity == _Pattern(other).similarity(one, 0)
    if one or other:
        assert similarity >= SequenceMatcher(None, one, other, autojunk=False).ratio() - 1e-9
        assert (similarity == 1) is (one == other)


def test_a_search_compares_a_bounded_number_of_characters() -> None:
    names = [f"{'a-step-like-all-others-' * 5}{number}" for number in range(100_000)]
    with bounded_time(1):
        assert near(f"{'a-step-like-all-others-' * 5}x", names) is not None
        assert near("no-such-name", names) is None
    assert near("steps", [*["x"] * 1000, "step"]) is None
