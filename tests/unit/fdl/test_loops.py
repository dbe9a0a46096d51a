"""`Flow.looping` has the steps that can be visited more than once."""

from __future__ import annotations

import pytest

from pollflow.fdl import read_flow
from tests.unit.fdl.texts import HEAD

CHOICE = "  - {type: choice, name: C, choices: [{condition: $.x, goto: %s}]}\n"
CATCH = "  - {type: task, name: T, resourceArn: 'f', catch: [{errors: [E], goto: %s}]}\n"
INSIDE = "  - {type: choice, name: C, choices: [{condition: $.x, steps: [{type: pass, name: I}], goto: %s}]}\n"
EACH = (
    "  - type: foreach\n    name: E\n    iterationMapping: {collection: $.x, item: i}\n"
    "    steps: [{type: pass, name: I}]\n"
)
A, B = "  - {type: pass, name: A}\n", "  - {type: pass, name: B}\n"


def looping(steps: str) -> set[str]:
    flow = read_flow(HEAD + steps)
    return {flow.series[place.series].steps[place.position].name or "" for place in flow.looping}


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        (A + B, set()),
        (A + CHOICE % "B" + B, set()),
        (A + CHOICE % "A" + B, {"A", "C"}),
        (A + B + CHOICE % "B", {"B", "C"}),
        (A + CHOICE % "C", {"C"}),
        (A + CATCH % "A", {"A", "T"}),
        (A + INSIDE % "A", {"A", "C", "I"}),
        (A + INSIDE % "B" + B, set()),
        # An iteration is a frame of its own: its steps are visited once in it.
        (A + EACH + CHOICE % "A", {"A", "E", "C"}),
    ],
)
def test_steps_between_a_goto_and_its_earlier_target_can_be_visited_again(steps: str, names: set[str]) -> None:
    assert looping(steps) == names
