"""Generated definitions raise documented errors only, within CPU limits. `tests/hostile` has those of maximal size."""

from __future__ import annotations

import json
from pathlib import Path as FilePath
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pollflow.errors import DefinitionError
from pollflow.fdl import lint, read_flow, read_yaml
from pollflow.fdl.expr import ExpressionError, ExpressionSyntaxError, compile_condition, compile_path
from tests.bounds import bounded_time
from tests.hostile import payloads

ROOT = FilePath(__file__).parents[3]
PIECES = [
    "$", '"', "'", "[", "]", "{", "}", ": ", "- ", "\n", "  ", "*a", "&a ", "!x ", "\x00", "é", "|", ">", "#", "%",
    "@", "`", "null", ".nan", "1e999", "<<: ", "?", ",", "\t", "\\u", "\\ud800", "goto: ", "type: choice", "\ud800",
]  # fmt: skip
TOKENS = [
    "$", "$.a", "$.l[0]", '$["x y"]', "$.l[*]", '"s"', "`s`", "1", "0", "2.5", "1e308", "true", "false", "null", "?",
    ":", "||", "&&", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "!", "(", ")", " ", "'", "[", ".", "a",
]  # fmt: skip
ROOTS = ["$", "$input", "$local", "$context", ""]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "l", "x y"]), inner),
    max_leaves=8,
)


def flows() -> list[str]:
    found = [(ROOT / "flows/task_polling.yaml").read_text()]
    for path in sorted((ROOT / "tests/flowtests").glob("*.flowtest.yaml")):
        definition = read_yaml(path.read_text()).get("definition", "")
        found.append(definition if isinstance(definition, str) else json.dumps(definition, indent=1))
    return found


def check_errors(text: str) -> None:
    with bounded_time():
        read_or_refused(text)


def read_or_refused(text: str) -> None:
    try:
        flow = read_flow(text)
    except DefinitionError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.line >= 1
            assert problem.column >= 1
            assert problem.severity == "error"
            assert str(problem)
        return
    assert all(problem.severity == "warning" for problem in lint(flow, known_functions=["s/call"], event_limit=100))
    assert read_flow(text) == flow


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_flow_is_read_or_refused(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(flows()))
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 40))
        inserted = data.draw(st.sampled_from([*PIECES, text[start : start + length] * 2, ""]))
        text = text[:start] + inserted + text[start + length * data.draw(st.integers(0, 1)) :]
    check_errors(text)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    check_errors(text)


@settings(max_examples=100)
@given(JSON)
def test_any_document_is_read_or_refused(document: Any) -> None:
    check_errors(json.dumps(document))
    check_errors(json.dumps({"version": "v1", "type": "flow", "steps": [document]}))


@settings(max_examples=100)
@given(JSON.filter(lambda document: document is not None and "NaN" not in json.dumps(document)))
def test_json_is_read_as_by_the_json_module(document: Any) -> None:
    text = json.dumps(document)
    if "Infinity" not in text and "\\u" not in text and "e+" not in text:
        assert read_yaml(text) == json.loads(text)


@settings(max_examples=500)
@given(st.lists(st.sampled_from(TOKENS), max_size=25).map("".join), JSON)
def test_any_condition_is_refused_true_false_or_an_error(text: str, step_input: Any) -> None:
    with bounded_time():
        try:
            assert compile_condition(text).holds(step_input) in (True, False)
        except ExpressionSyntaxError as error:
            assert 1 <= error.column <= len(text) + 1
        except ExpressionError as error:
            assert error.cause


@settings(max_examples=300)
@given(
    st.sampled_from(["$", "$input", "$local", "$context", ""]), st.text(alphabet=".[]*\"'a0- \\é", max_size=15), JSON
)
def test_any_path_is_refused_or_reads(root: str, rest: str, value: Any) -> None:
    with bounded_time():
        try:
            compile_path(root + rest).read({"": value, "input": value, "local": value})
        except ExpressionSyntaxError as error:
            assert 1 <= error.column <= len(root + rest) + 1


@payloads.requires_memory_limit
def test_hostile_expressions_are_refused_in_bounded_memory_and_time() -> None:
    assert payloads.results_of("expressions") == dict.fromkeys(payloads.EXPRESSIONS, True)


@settings(max_examples=200)
@given(JSON, JSON)
def test_equality_is_symmetric_and_negation_is_its_opposite(left: Any, right: Any) -> None:
    values = {"a": left, "b": right}
    equal = compile_condition("$.a == $.b").holds(values)
    assert compile_condition("$.b == $.a").holds(values) is equal
    assert compile_condition("$.a != $.b").holds(values) is not equal
