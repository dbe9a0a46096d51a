"""The table of rules covers every step type."""

from __future__ import annotations

from pollflow.fdl.fields import STEP_FIELDS
from pollflow.fdl.model import STEP_TYPES
from pollflow.machine.decide import RULES


def test_each_step_type_has_fields_and_rules() -> None:
    assert set(STEP_FIELDS) == set(STEP_TYPES.values())
    assert {step_class for step_class, _ in RULES} == set(STEP_TYPES)
