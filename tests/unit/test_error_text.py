"""An error name and its cause as one text, wherever they are printed together."""

from __future__ import annotations

import pytest

from pollflow import Context, TaskError
from pollflow.errors import StepError, error_text
from pollflow.testing import draw, run_flow

FLOW = """
version: v1
type: flow
steps: [{type: task, name: Ask, resourceArn: jobs/ask}]
"""


@pytest.mark.parametrize(
    ("error", "cause", "text"),
    [
        ("Busy", "later", "Busy: later"),
        ("KeyError", "KeyError: 'missing'", "KeyError: 'missing'"),
        ("KeyError", "KeyErrors: two", "KeyError: KeyErrors: two"),
        ("Busy", "", "Busy"),
        ("", "later", "later"),
    ],
)
def test_a_cause_that_begins_with_the_name_is_the_whole_text(error: str, cause: str, text: str) -> None:
    assert error_text(error, cause) == text
    assert str(StepError(error, cause)) == str(TaskError(error, cause)) == text


def test_the_error_of_a_missing_key_has_its_name_once() -> None:
    def ask(input: dict[str, int], context: Context) -> dict[str, int]:
        return {"count": input["missing"]}

    result = run_flow(FLOW, functions={"jobs/ask": ask})
    assert (result.error, result.cause) == ("KeyError", "KeyError: 'missing'")
    drawn = draw(result)
    assert "KeyError: KeyError" not in drawn
    assert drawn.splitlines()[-1] == "Failed after 0 s: KeyError: 'missing'"
