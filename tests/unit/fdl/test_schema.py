from __future__ import annotations

import json
import re
from pathlib import Path as FilePath
from typing import Any

import pytest

from pollflow.fdl import json_schema, read_yaml
from pollflow.fdl.fields import FLOW, SHAPES, STEP_FIELDS
from tests.unit.fdl.texts import text_of

ROOT = FilePath(__file__).parents[3]
SCHEMA = json_schema()
TYPES: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "number": (int, float), "integer": int
}  # fmt: skip


def accepts(schema: dict[str, Any], value: Any) -> bool:
    """Validate a value by the subset of JSON Schema that the schema of flows uses."""
    return all(CHECKS[word](rule, value, schema) for word, rule in schema.items() if word in CHECKS)


def is_type(kind: Any, value: Any, _: Any) -> bool:
    kinds = kind if isinstance(kind, list) else [kind]
    return any(isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool)) for name in kinds)


CHECKS: dict[str, Any] = {
    "type": is_type,
    "$ref": lambda ref, value, _: accepts(SCHEMA["$defs"][ref.removeprefix("#/$defs/")], value),
    "enum": lambda values, value, _: value in values,
    "const": lambda required, value, _: value == required,
    "pattern": lambda text, value, _: not isinstance(value, str) or re.search(text, value) is not None,
    "minimum": lambda low, value, _: not isinstance(value, int | float) or value >= low,
    "maximum": lambda high, value, _: not isinstance(value, int | float) or value <= high,
    "minLength": lambda low, value, _: not isinstance(value, str) or len(value) >= low,
    "maxLength": lambda high, value, _: not isinstance(value, str) or len(value) <= high,
    "minItems": lambda low, value, _: len(value) >= low,
    "maxItems": lambda high, value, _: len(value) <= high,
    "items": lambda inner, value, _: all(accepts(inner, item) for item in value),
    "required": lambda names, value, _: set(names) <= set(value),
    "properties": lambda inner, value, _: all(accepts(inner[name], value[name]) for name in inner if name in value),
    "additionalProperties": lambda _, value, schema: set(value) <= set(schema["properties"]),
    "anyOf": lambda options, value, _: any(accepts(option, value) for option in options),
    "oneOf": lambda options, value, _: sum(accepts(option, value) for option in options) == 1,
    "allOf": lambda rules, value, _: all(accepts(rule, value) for rule in rules),
    "if": lambda test, value, schema: not accepts(test, value) or accepts(schema["then"], value),
}


def definitions() -> list[Any]:
    found = []
    for path in sorted((ROOT / "tests/flowtests").glob("*.flowtest.yaml")):
        definition = read_yaml(path.read_text()).get("definition")
        if isinstance(definition, dict):
            found.append(definition)
    return [*found, read_yaml((ROOT / "flows/task_polling.yaml").read_text())]


def test_the_schema_accepts_every_valid_flow_of_the_tests() -> None:
    assert len(definitions()) > 10
    assert [accepts(SCHEMA, definition) for definition in definitions()] == [True] * len(definitions())


@pytest.mark.parametrize(
    "step",
    [
        "type: pas, name: a",
        "type: pass",
        "type: pass, name: a, colour: red",
        "type: wait, name: a",
        "type: wait, name: a, duration: ten",
        "type: wait, name: a, duration: 1, timestamp: 2020-01-01",
        "type: choice, name: a",
        "type: choice, name: a, choices: [{goto: a}]",
        "type: task, name: a",
        "type: task, name: a, resourceArn: x, retry: [{errors: []}]",
        "type: parallel, name: a, branches: []",
        "type: succeed, name: a, end: true",
    ],
)
def test_the_schema_refuses_invalid_steps(step: str) -> None:
    assert not accepts(SCHEMA, read_yaml(text_of(step)))


def test_the_schema_is_json_and_has_every_field_of_the_table() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(SCHEMA["properties"]) == [field.name for field in FLOW]
    for name, fields in STEP_FIELDS.items():
        assert list(SCHEMA["$defs"][f"{name} step"]["properties"]) == ["type", "name", *(f.name for f in fields)]
    for name, fields in SHAPES.items():
        assert list(SCHEMA["$defs"][name]["properties"]) == [field.name for field in fields]
    assert all(rule["description"] for rule in SCHEMA["properties"].values())
