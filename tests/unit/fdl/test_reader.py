from __future__ import annotations

import json
import math

import pytest

from pollflow import DefinitionError
from pollflow.fdl import read_flow, read_yaml
from pollflow.fdl.reader import read_nodes
from tests.unit.fdl.texts import HEAD, problems_of, text_of


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("~", None),
        ("null", None),
        ("''", ""),
        ("12:30", "12:30"),
        ("1e3", 1000.0),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 15),
        ("089", 89),
        ("0b11", 3),
        ("+7", 7),
        ("1.2.3", "1.2.3"),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ('"1"', "1"),
        ("!!str 1", "1"),
        ('!!int "1"', 1),
        ("! 1", "1"),
        ('"\\ud83d\\ude00"', "😀"),
        ("[1, {a: b}]", [1, {"a": "b"}]),
    ],
)
def test_scalars_are_read_as_in_yaml_1_2(written: str, value: object) -> None:
    read = read_yaml(f"x: {written}")
    assert read == {"x": value}
    assert type(read["x"]) is type(value)


def test_keys_are_always_text() -> None:
    assert read_yaml("{on: 1, 1: 2, null: 3, true: 4}") == {"on": 1, "1": 2, "null": 3, "true": 4}


def test_json_is_read_even_with_tabs() -> None:
    text = json.dumps({"version": "v1", "type": "flow", "steps": [{"type": "pass", "name": "é😀"}]}, indent="\t")
    assert read_flow(text).steps.steps[0].name == "é😀"


def test_a_byte_order_mark_is_removed() -> None:
    assert read_flow(b"\xef\xbb\xbf" + text_of("type: pass, name: a").encode()).text.startswith("version")


def test_aliases_and_merge_keys_work() -> None:
    text = HEAD + "  - &a {type: pass, name: a, end: false}\n  - {<<: *a, name: b}\n  - {<<: [*a, *a], name: c}\n"
    assert [step.name for step in read_flow(text).steps.steps] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["1:1: the definition is empty"]),
        ("# nothing\n", ["1:1: the definition is empty"]),
        (
            "a: [1,\nb: 2\n",
            ["3:1: not YAML: while parsing a flow sequence: expected "],
        ),
        ("a:\n\t- b\n", ["2:1"]),
        ("a: 'b", ["1:6: not YAML: while scanning a quoted scalar: found unexpected end of stream"]),
        ("a: *b", ["1:4: the alias *b has no complete anchor before it"]),
        ("&a [*a]", ["1:5: the alias *a has no complete anchor before it"]),
        ("--- {}\n--- {}\n", ["2:1: a second document begins here; a file must have only one"]),
        ("ok: 1\nx: \x00", ["2:4: not YAML: U+0000, a character that YAML does not allow"]),
        (b"a: \xff", ["1:1: not UTF-8 text"]),
        ("a\nb: \ud800", ["2:1: not UTF-8 text"]),
        ("[" * 100_000, ["1:65: the definition is nested at least 65 levels deep, more than the limit of 64"]),
        ('{"a":' * 100_000, ["1:321: the definition is nested at least 65 levels deep, more than the limit of 64"]),
        ("x" * 1_048_577, ["1:1: the definition has 1,048,577 bytes, more than the limit of 1,048,576 "]),
    ],
)
def test_invalid_yaml_is_one_problem_with_its_position(text: str | bytes, problems: list[str]) -> None:
    found = problems_of(text)
    assert len(found) == 1
    assert found[0].startswith(problems[0])


_LONG = "y" * 1000


@pytest.mark.parametrize(
    "text",
    [
        f"a: &a {_LONG}\nb: [{', '.join(['*a'] * 2000)}]",
        f"a: &a {{k: {_LONG}}}\n" + "\n".join(f"k{number}: {{<<: *a}}" for number in range(2000)),
        f"a: &a [{_LONG}, {_LONG}]\nb: &b [{', '.join(['*a'] * 50)}]\nc: [{', '.join(['*b'] * 50)}]",
    ],
    ids=["scalar", "merged", "nested"],
)
def test_the_length_of_a_definition_with_its_aliases_is_limited(text: str) -> None:
    (problem,) = problems_of(text)
    assert "characters after aliases are expanded, more than the limit of 1,048,576 (pollflow_max_definition" in problem


def test_the_size_of_a_definition_is_a_setting() -> None:
    text = text_of("type: pass, name: a") + "# " + "x" * 2_000_000
    assert read_flow(text, max_bytes=len(text)).digest
    with pytest.raises(DefinitionError, match=r"more than the limit of 2,000,000 \(pollflow_max_definition_bytes\)"):
        read_flow(text, max_bytes=2_000_000)


def test_a_billion_laughs_document_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert problems_of("\n".join(lines)) == [
        "5:45: the definition has 101,237 values after aliases are expanded, more than the limit of 100,000"
    ]


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ("type: pass, name: a, name: b", '4:27: the key "name" is repeated'),
        ("type: pass, name: !!python/object:os.system a", "4:24: the tag tag:yaml.org,2002:python/object:os.system"),
        ("type: pass, name: a, [1]: b", "4:27: a key must be a text"),
        ("type: pass, name: a, <<: 1", "4:31: << takes an object or a list of objects"),
        ("type: wait, name: a, duration: .inf", "4:37: JSON has no .inf"),
        ("type: wait, name: a, duration: .nan", "4:37: JSON has no .nan"),
        ("type: wait, name: a, duration: 1e999", "4:37: 1e999 is out of range"),
        (
            f"type: wait, name: a, duration: {'1' * 1001}",
            "4:37: the number has 1,001 digits, more than the limit of 1,000",
        ),
        ('type: pass, name: "\\ud800"', "4:24: a lone surrogate"),
    ],
)
def test_a_value_that_is_not_json_is_one_problem_with_its_position(step: str, problem: str) -> None:
    found = problems_of(text_of(step))
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_plain_values_are_read_or_refused() -> None:
    assert read_yaml("- 1\n- {at: 2026-01-01T00:00:00Z}") == [1, {"at": "2026-01-01T00:00:00Z"}]
    with pytest.raises(ValueError, match="the key"):
        read_yaml("{a: 1, a: 2}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: &a [" + "1, " * 1000 + "]\nb: [" + "*a, " * 50 + "]\n",
            "aliases expand the 1,055 values of the definition to 51,055, more than the limit of 14,220",
        ),
        (
            "a: &a " + "x" * 10_000 + "\nb: [" + "*a, " * 50 + "]\n",
            "aliases expand the 10,213 characters of the definition to 510,002, more than the limit of 106,388",
        ),
    ],
    ids=["values", "characters"],
)
def test_aliases_that_expand_a_text_too_much_are_refused(text: str, message: str) -> None:
    root, (problem,) = read_nodes(text, "x.yaml")
    assert root is None
    assert (problem.message, problem.code) == (message, "too-large")
    assert read_nodes(text, "x.yaml", math.inf)[1] == ()
