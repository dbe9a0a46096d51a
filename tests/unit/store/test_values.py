from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pollflow.machine import HistoryEvent
from pollflow.store.values import deduplicate, digests_in, restore

LONG = list(range(200))

texts = st.text(max_size=300) | st.text(alphabet="\x00a", max_size=5)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=40,
)
details = st.dictionaries(st.sampled_from(["input", "local", "output", "error"]), json_values)


def round_trip(detail: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, str] = {}
    text = deduplicate(HistoryEvent("Type", "Step", detail), values)
    type_, step, summarized = json.loads(text)
    assert (type_, step) == ("Type", "Step")
    assert digests_in([summarized]) == set(values)
    return restore(summarized, lambda digest: json.loads(values[digest])), values


@given(details)
def test_deduplicated_values_are_restored(detail: dict[str, Any]) -> None:
    assert round_trip(detail)[0] == detail


def test_a_long_value_is_stored_once() -> None:
    values: dict[str, str] = {}
    texts = [deduplicate(HistoryEvent("T", "S", {"input": {"items": LONG, "i": i}}), values) for i in range(50)]
    assert list(values.values()) == [json.dumps(LONG, separators=(",", ":"))]
    assert max(map(len, texts)) < 120


def test_a_short_value_stays_in_its_event() -> None:
    assert round_trip({"input": {"a": "b" * 100}})[1] == {}
