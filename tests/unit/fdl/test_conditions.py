from __future__ import annotations

import contextlib
import pickle
import sys

import pytest

from pollflow.fdl.expr import Condition, ExpressionError, ExpressionSyntaxError, compile_condition
from tests.bounds import bounded_time

INPUT = {
    "n": 2,
    "f": 2.0,
    "s": "abc",
    "t": True,
    "list": [1, {"k": "v"}],
    "same": [1.0, {"k": "v"}],
    "flags": [True],
    "ones": [1],
    "big": 10**400,
    "nan": float("nan"),
    "inf": float("inf"),
    "odd key": 1,
}


@pytest.mark.parametrize(
    "text",
    [
        "$.n == 2",
        "$.n == 2.0",
        "$.f == $.n",
        "$.s == `abc`",
        '$.s == "a\\u0062c"',
        "$.t",
        "$.t == true",
        'true == "true"',
        'true == "TRUE"',
        'false == "false"',
        '"FALSE" == false',
        'true != "True"',
        'true != "false"',
        '1 != "1"',
        "true != 1",
        "$.flags != $.ones",
        "$.list == $.same",
        "$.missing == null",
        "null == null",
        "!null",
        "!($.missing > 3)",
        "!(3 < null)",
        '"a" < "b"',
        "2 >= 2 && 2 <= 2",
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "7 / 2 == 3.5",
        "6 / 3 == 2",
        "-7 % 3 == -1",
        "7 % -3 == 1",
        "7.5 % 2 == 1.5",
        "- -1 == 1",
        "+1 == 1",
        "2 - 1 - 1 == 0",
        '"a" + "b" == "ab"',
        "false || true && true",
        "true || 1",
        "!(false && 1)",
        "true ? true : 1",
        "null ? 1 : true",
        "false ? 1 : false ? 1 : true",
        "$.list[1].k == `v`",
        "$.list[-1].k == `v`",
        '$["odd key"] == 1',
        "1 == 1 == true",
        "$.big > 1e308",
        "$.big == $.big",
        "$.nan != $.nan",
        "$.inf > 1",
        "1e3 == 1000",
        "$.n-1 == 1",
        "  \n$.n==2\t ",
    ],
)
def test_conditions_that_are_true(text: str) -> None:
    assert compile_condition(text).holds(INPUT) is True


@pytest.mark.parametrize("text", ["$.missing", "null", "false", "$.missing > 1", "null >= null", "$.nan > 1", "1 > 1"])
def test_conditions_that_are_false(text: str) -> None:
    assert compile_condition(text).holds(INPUT) is False


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("$", "the result must be a boolean, not an object"),
        ("$.n", "the result must be a boolean, not a number"),
        ("$.s", "the result must be a boolean, not a text"),
        ("$.list", "the result must be a boolean, not a list"),
        ("!1", "! needs a boolean, not a number"),
        ("$.s && true", "&& needs a boolean, not a text"),
        ("false || 1", "|| needs a boolean, not a number"),
        ("1 ? true : false", "? : needs a boolean, not a number"),
        ('1 < "a"', "< cannot order a number and a text"),
        ("true < false", "< cannot order a boolean and a boolean"),
        ("true > 0", "> cannot order a boolean and a number"),
        ("1 < 2 < 3", "< cannot order a boolean and a number"),
        ("$.list < $.list", "< cannot order a list and a list"),
        ("1 + null == 1", "+ cannot work on a number and null"),
        ('1 + "a" == 1', "+ cannot work on a number and a text"),
        ("true + 1 == 2", "+ cannot work on a boolean and a number"),
        ("-true == 1", "- cannot work on a boolean"),
        ("-`a` == 1", "- cannot work on a text"),
        ("+null == 1", "+ cannot work on null"),
        ("1 / 0 == 1", "division by zero"),
        ("1 % 0 == 1", "division by zero"),
        ("1.5 % 0 == 1", "division by zero"),
        ("1e308 * 10 > 1", "* gives a number that is out of range"),
        ("$.big + 0.5 > 1", "+ gives a number that is out of range"),
        ("$.big / 3 > 1", "/ gives a number that is out of range"),
        ("$.big * $.big * $.big * $.big > 1", "* gives a number of 5,316 bits, more than the limit of 4,096"),
        ("$.inf - $.inf == 0", "- gives a number that is out of range"),
        ("$.inf % 2 == 0", "% gives a number that is out of range"),
    ],
)
def test_values_of_a_wrong_type_are_an_expression_error(text: str, cause: str) -> None:
    with pytest.raises(ExpressionError) as failed:
        compile_condition(text).holds(INPUT)
    assert failed.value.cause == str(failed.value) == cause


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "empty", 1),
        ("   ", "empty", 1),
        ("$.a === 1", 'unexpected "="; write == for equality', 7),
        ("$.a = 1", 'unexpected "="; write == for equality', 5),
        ("$.a ==", "unexpected end", 7),
        ("($.a", "unexpected end", 5),
        ("$.a)", 'unexpected ")"', 4),
        ("$.a == 'x'", 'unexpected "\'"; write texts in double quotes or backticks', 8),
        ('$.a == "x', 'the text that starts with "\\"" is not closed', 8),
        ("$.job-id", 'unexpected "id"; quote a text as "id", and a key in brackets as $["a-b"]', 7),
        ("$.a == ready", 'unexpected "ready"; quote a text as "ready", and a key in brackets as $["a-b"]', 8),
        ("$input.a", 'unexpected "$"; a condition reads the step\'s input only, as $.key', 1),
        ("true & true", 'unexpected "&"; write && for and', 6),
        ("true | true", 'unexpected "|"; write || for or', 6),
        ("&& true", 'unexpected "&&"', 1),
        ("1e999 > 1", "the number is out of range", 1),
        ("1 == $[12345678901]", "the index has 11 digits, more than the limit of 10", 8),
        ("\n1 == $[12345678901]", "the index has 11 digits, more than the limit of 10", 9),
        (
            "__import__(`os`)",
            'unexpected "__import__"; quote a text as "__import__", and a key in brackets as $["a-b"]',
            1,
        ),
        ("1" * 4097, "it has 4,097 characters, more than the limit of 4,096", 4097),
    ],
)
def test_an_invalid_condition_is_refused_at_its_column(text: str, message: str, column: int) -> None:
    with pytest.raises(ExpressionSyntaxError) as refused:
        compile_condition(text)
    assert (refused.value.message, refused.value.column) == (message, column)


@pytest.mark.parametrize(
    "nested",
    [
        lambda depth: "(" * depth + "true" + ")" * depth,
        lambda depth: "!" * depth + "true",
        lambda depth: "false ? true : " * depth + "true",
    ],
)
def test_a_condition_has_at_most_fifty_levels(nested: object) -> None:
    assert callable(nested)
    assert compile_condition(nested(50)).holds({}) is True
    with pytest.raises(ExpressionSyntaxError, match="it is nested at least 51 levels deep, more than the limit of 50"):
        compile_condition(nested(51))


def test_fifty_levels_need_a_small_part_of_the_stack() -> None:
    text = "false || true && 1 == 1 + 0 * -(1) ? true : true"
    for _ in range(15):
        text = f"(false || true && 1 == 1 + 0 * 1 && !({text}) || true)"
    limit = sys.getrecursionlimit()
    frame, used = sys._getframe(), 0
    while frame.f_back is not None:
        frame, used = frame.f_back, used + 1
    sys.setrecursionlimit(used + 500)
    try:
        assert compile_condition(text).holds({}) is True
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("text", ["1+" * 2047 + "1", "$.a||" * 800 + "true", "(" * 4096, "!" * 4096, "[" * 4096])
def test_the_longest_conditions_are_evaluated_quickly(text: str) -> None:
    with bounded_time(2), contextlib.suppress(ExpressionError, ExpressionSyntaxError):
        compile_condition(text).holds({})


def test_repeated_concatenation_is_bounded() -> None:
    with pytest.raises(ExpressionError, match="a text of 1,081,344 characters, more than the limit of 1,048,576"):
        compile_condition("+".join(["$.s"] * 1000) + " == 1").holds({"s": "x" * 32_768})


def test_conditions_are_equal_if_their_texts_are_equal() -> None:
    assert Condition("$.a == 1") == compile_condition("$.a == 1")
    assert len({Condition("true"), Condition("true"), Condition("false")}) == 2
    assert repr(Condition("true")) == "Condition(text='true')"
    assert pickle.loads(pickle.dumps(Condition("$.a"))).holds({"a": True})  # noqa: S301 - made here
