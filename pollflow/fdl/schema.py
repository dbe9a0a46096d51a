"""The language as a JSON Schema (draft 2020-12), by which editors complete and check flow files."""

from __future__ import annotations

from typing import Any

from pollflow.fdl.fields import (
    ACTION_PATTERN,
    AT_LEAST_ONE,
    EXACTLY_ONE,
    FLOW,
    MAX_NAME,
    MAX_TEXT,
    NAME_PATTERN,
    SHAPES,
    STEP,
    STEP_FIELDS,
    YEAR_SECONDS,
    Field,
    Kind,
)

Schema = dict[str, Any]

_STEP_PATH = r"^\$([.\[].*)?$"
_TEXT: Schema = {"type": ["string", "number", "boolean"]}
"""Plain numbers and booleans are read as texts, as written."""
_NOT_EMPTY: Schema = {**_TEXT, "minLength": 1, "maxLength": MAX_TEXT}
_PATH: Schema = {"type": "string", "pattern": _STEP_PATH}

_KINDS: dict[Kind, Schema] = {
    Kind.NAME: {"type": "string", "pattern": f"^{NAME_PATTERN}$"},
    Kind.STEP_NAME: {**_TEXT, "minLength": 1, "maxLength": MAX_NAME},
    Kind.KEY: _NOT_EMPTY,
    Kind.TEXT_OR_PATH: {**_TEXT, "maxLength": MAX_TEXT},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.INTEGER: {"type": "integer"},
    Kind.NUMBER: {"type": "number"},
    Kind.DURATION: {"anyOf": [{"type": "number", "minimum": 0, "maximum": YEAR_SECONDS}, _PATH]},
    Kind.TIMESTAMP: {"anyOf": [{"type": "string", "pattern": r"^\d{4}-\d\d?-\d\d?"}, _PATH]},
    Kind.PATH: _PATH,
    Kind.CONDITION: {"type": ["string", "boolean"], "minLength": 1, "maxLength": MAX_TEXT},
    Kind.ARN: {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
    Kind.ACTION: {"type": "string", "pattern": f"^{ACTION_PATTERN}$"},
    Kind.GOTO: {**_TEXT, "minLength": 1},
    Kind.ERRORS: {"type": "array", "minItems": 1, "items": _NOT_EMPTY},
    Kind.SOURCE: {},
    Kind.PARAMS: {"type": "object"},
    Kind.SERIES: {"type": "array", "items": {"$ref": "#/$defs/step"}},
}


def json_schema() -> Schema:
    """Return the schema of a definition. It does not check conditions, targets of gotos, or unique names."""
    steps = {f"{name} step": _step(name) for name in STEP_FIELDS}
    shapes = {name: _object(fields) for name, fields in SHAPES.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Flow Definition Language v1",
        **_object(FLOW),
        "$defs": {"step": _any_step(), **steps, **shapes},
    }


def _any_step() -> Schema:
    """Select the schema by the step's type, so that an editor reports only fields of that type."""
    rules = [
        {"if": {"properties": {"type": {"const": name}}}, "then": {"$ref": f"#/$defs/{name} step"}}
        for name in STEP_FIELDS
    ]
    properties = {field.name: _field(field) for field in STEP}
    return {
        "type": "object",
        "properties": properties,
        "required": [field.name for field in STEP],
        "allOf": rules,
    }


def _step(name: str) -> Schema:
    schema = _object(STEP + STEP_FIELDS[name])
    schema["properties"]["type"] = {"const": name}
    for counts, word in ((EXACTLY_ONE, "oneOf"), (AT_LEAST_ONE, "anyOf")):
        if name in counts:
            schema[word] = [{"required": [field]} for field in counts[name]]
    return schema


def _object(fields: tuple[Field, ...]) -> Schema:
    return {
        "type": "object",
        "properties": {field.name: _field(field) for field in fields},
        "required": [field.name for field in fields if field.required],
        "additionalProperties": False,
    }


def _field(field: Field) -> Schema:
    schema: Schema = {"description": field.description, **_value(field)}
    if field.kind in (Kind.INTEGER, Kind.NUMBER):
        ends = {"minimum": field.minimum, "maximum": field.maximum}
        schema.update({name: end for name, end in ends.items() if end is not None})
    elif field.kind in (Kind.OBJECTS, Kind.SERIES):
        if field.not_empty:
            schema["minItems"] = 1
        if field.maximum is not None:
            schema["maxItems"] = int(field.maximum)
    return schema


def _value(field: Field) -> Schema:
    if field.kind is Kind.ONE_OF:
        return {"enum": list(field.values)}
    if field.kind is Kind.OBJECT:
        return {"$ref": f"#/$defs/{field.shape}"}
    if field.kind is Kind.OBJECTS:
        return {"type": "array", "items": {"$ref": f"#/$defs/{field.shape}"}}
    return _KINDS[field.kind]
