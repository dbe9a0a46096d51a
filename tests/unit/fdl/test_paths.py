from __future__ import annotations

import pytest

from pollflow.fdl.expr import MISSING, ExpressionSyntaxError, compile_path
from pollflow.fdl.expr.path import Path, Wildcard

ROOTS = {
    "": {"a": {"b": [1, 2]}},
    "input": {"a": {"b": [10, 20, 30]}, "odd key": 1, "n": None, "job-id": 7},
    "local": [{"parts": [1, 2], "v": 1}, {"parts": [], "v": 2}, {"w": 9}, {"parts": "no list"}, {"parts": [3]}],
    "context": {"step": {"name": "S"}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$", {"a": {"b": [1, 2]}}),
        ("$.a.b[0]", 1),
        ("$input.a.b", [10, 20, 30]),
        ("$input.a.b[-1]", 30),
        ("$input.a.b[-3]", 10),
        ('$input["odd key"]', 1),
        ("$input['odd key']", 1),
        ('$input["\\u006e"]', None),
        ("$input.job-id", 7),
        ("$input.n", None),
        ("$context.step.name", "S"),
        ("$local[1].v", 2),
        ("$local[*].v", [1, 2]),
        ("$local[*].parts[*]", [1, 2, 3]),
        ("$local[*].parts[0]", [1, 3]),
        ("$input.a.b[*]", [10, 20, 30]),
        ("$local[*].nothing", []),
    ],
)
def test_a_path_reads_the_value_it_leads_to(text: str, value: object) -> None:
    assert compile_path(text).read(ROOTS) == value


@pytest.mark.parametrize(
    "text",
    ["$.b", "$input.a.b[3]", "$input.a.b[-4]", "$input.a[0]", "$input.a.b.c", "$input.n.x", "$input.a[*]", "$local.v"],
)
def test_a_path_without_a_value_reads_missing(text: str) -> None:
    assert compile_path(text).read(ROOTS) is MISSING


def test_a_path_without_its_root_reads_missing() -> None:
    assert compile_path("$local.a").read({"": {}}) is MISSING


def test_paths_are_equal_if_text_root_and_parts_are_equal() -> None:
    path = compile_path('$local.a[0][*]["b.c"]')
    assert path == Path('$local.a[0][*]["b.c"]', "local", ("a", 0, Wildcard.ALL, "b.c"))
    assert str(path) == path.text
    assert len({path, compile_path(path.text)}) == 1


def test_a_quoted_asterisk_is_a_key() -> None:
    assert compile_path('$["*"]').read({"": {"*": 1}}) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty (column 1)"),
        ("$inputs.x", 'unexpected "$"; a path starts with $, $input, $local or $context (column 1)'),
        ("$input.", "unexpected end (column 8)"),
        ("$input..a", 'unexpected "." (column 8)'),
        ("$input[a]", 'unexpected "a"; quote a key in brackets, as ["a b"] (column 8)'),
        ("$input.a b", 'unexpected " "; quote a key in brackets, as ["a b"] (column 9)'),
        ('$input["a', 'the text that starts with "\\"" is not closed (column 8)'),
        ('$input["\\q"]', "the text has an escape that JSON does not have (column 8)"),
        ("$input[12345678901]", "the index has 11 digits, more than the limit of 10 (column 8)"),
        ("$.a" + "a" * 4094, "it has 4,097 characters, more than the limit of 4,096 (column 4097)"),
    ],
)
def test_an_invalid_path_is_refused_at_its_column(text: str, message: str) -> None:
    with pytest.raises(ExpressionSyntaxError) as refused:
        compile_path(text)
    assert str(refused.value) == message
