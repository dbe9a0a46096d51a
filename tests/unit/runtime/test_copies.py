"""What crosses to a function and back is a copy."""

from __future__ import annotations

from typing import Any

from pollflow import Context
from pollflow.machine import Raised, Returned
from tests.calling import call


def test_a_function_that_changes_its_input_changes_only_its_copy() -> None:
    given: dict[str, Any] = {"seen": [], "deep": {"list": [{"a": 1}]}}

    def changes(input: dict[str, Any], context: Context) -> dict[str, Any]:
        input["seen"].append(1)
        input["deep"]["list"][0]["a"] = 2
        input["new"] = True
        return input

    result = {"seen": [1], "deep": {"list": [{"a": 2}]}, "new": True}
    assert call(changes, payload=given) == Returned(result)
    assert given == {"seen": [], "deep": {"list": [{"a": 1}]}}


def test_a_result_that_is_changed_later_stays_as_it_was_returned() -> None:
    kept: dict[str, Any] = {"list": [1]}
    event = call(lambda input, context: kept)
    kept["list"].append(2)
    assert event == Returned({"list": [1]})


def test_a_generator_is_no_result() -> None:
    for made in ((i for i in "ab"), _numbers()):
        event = call(lambda input, context, made=made: made)
        assert event == Raised(
            "FnF.InvalidLocal",
            "the function returned a generator; it must return a JSON object",
            ("TaskError", "StepError", "PollflowError", "Exception", "BaseException"),
        )


async def _numbers() -> Any:
    yield 1
