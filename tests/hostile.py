"""What is made to take all memory or for ever. `python -m tests.hostile` gives it to the code, within hard limits.

It prints the result of each as JSON. Only documented errors are caught, so that any other one ends it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pollflow import EntityTooLarge, InvalidArgument
from pollflow.errors import DefinitionError
from pollflow.fdl import lint, read_flow, read_yaml
from pollflow.fdl.expr import ExpressionSyntaxError, compile_condition, compile_path
from pollflow.runtime.objects import checked_object
from pollflow.testing import VirtualRun
from tests.bounds import limit_this_process

MEMORY_BYTES = 1 << 30
CPU_SECONDS = 90  # of all of it together, which takes about 15
MILLION = 1_000_000
MIB = 1 << 20

HEAD = "version: v1\ntype: flow\nsteps:\n"
CALL = HEAD + "- {type: task, name: Call, resourceArn: 'acs:fc:::services/s/functions/f'}\n"

only_where_memory_is_bounded = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS bounds nothing here")


def constant(text: str) -> str:
    return HEAD + "- type: pass\n  name: P\n  outputMappings:\n  - {target: t, source: " + text + "}\n"


def choice(*conditions: str) -> str:
    choices = ", ".join(f"{{condition: '{condition}'}}" for condition in conditions)
    return HEAD + f"- {{type: choice, name: C, choices: [{choices}]}}\n"


def listed(item: str, count: int) -> str:
    return "[" + ", ".join([item] * count) + "]"


def of_keys(count: int) -> str:
    return "{" + ", ".join(f'"k{number}": 1' for number in range(count)) + "}"


def levels_of_aliases(first: str, each: Callable[[int], str], count: int) -> str:
    return f"l0: &a0 {first}\n" + "".join(f"l{n}: &a{n} {each(n)}\n" for n in range(1, count))


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


# The result of each: the code of the first problem, and nothing for a definition that is read.
DOCUMENTS: dict[str, tuple[str, Callable[[], str]]] = {
    "a billion laughs": ("too-large", lambda: levels_of_aliases("[x]", lambda n: listed(f"*a{n - 1}", 9), 30)),
    "merged a billion times": (
        "too-large",
        lambda: levels_of_aliases(of_keys(1000), lambda n: f"{{<<: *a{n - 1}, x{n}: 1}}", 500),
    ),
    "an alias to itself": ("syntax", lambda: "a: &a [*a]"),
    "a million lists deep": ("too-large", lambda: "[" * MILLION),
    "a million lists deep, for the slow parser": ("too-large", lambda: '["\\ud800",' + "[" * MILLION),
    "objects as deep as they go": ("too-large", lambda: '{"a":' * (MIB // 5)),
    "dashes as deep as they go": ("too-large", lambda: "- " * (MIB // 2)),
    "keys that are keys": ("too-large", lambda: "? " * (MIB // 2)),
    "a scalar of a MiB": ("invalid-value", lambda: "x" * MIB),
    "a scalar of many lines": ("invalid-value", lambda: "x\n" * (MIB // 2)),
    "a scalar of escapes": ("not-json", lambda: '"' + "\\ud800" * (MIB // 6 - 1) + '"'),
    "a scalar without an end": ("syntax", lambda: '"' + "x" * (MIB - 1)),
    "a constant of a MiB": ("", lambda: constant("x" * MILLION)),
    "a byte too many": ("too-large", lambda: "x" * (MIB + 1)),
    "a condition of a MiB": ("expression-syntax", lambda: choice("$.a == 1 && " * 80_000 + "$.a")),
    "a million parentheses": ("expression-syntax", lambda: choice("(" * MILLION)),
    "many long conditions": ("", lambda: choice(*["1+" * 2000 + "1 > 2"] * 50)),
    "many deep conditions": ("expression-syntax", lambda: choice(*["(" * 4090] * 50)),
    "a million digits": ("not-json", lambda: constant("9" * MILLION)),
    "a million hexadecimal digits": ("not-json", lambda: constant("0x" + "f" * MILLION)),
    "a million decimals": ("", lambda: constant("1." + "9" * MILLION)),
    "an exponent of a million digits": ("not-json", lambda: constant("1e" + "9" * MILLION)),
    "a million keys": ("too-large", lambda: of_keys(MILLION)),
    "as many keys as there is room for": ("too-large", lambda: "".join(f"{n}:\n" for n in range(130_000))),
    "as many keys as may be": ("", lambda: constant(of_keys(49_000))),
    "the same key again and again": ("too-large", lambda: "a:\n" * (MIB // 3)),
    "items without an end": ("too-large", lambda: "[" + "1," * 500_000),
    "a quarter of a million documents": ("syntax", lambda: "---\n" * (MIB // 4)),
    "a tag of a MiB": ("syntax", lambda: "!" + "x" * MILLION + " a"),
    "many anchors": ("invalid-value", lambda: "[" + ",".join(f"&a{n} 1" for n in range(90_000)) + "]"),
    "tabs": ("missing-field", lambda: "{" + "\t" * MILLION + "}"),
    "blank lines": ("syntax", lambda: "\n" * MIB),
    "a million comments": ("syntax", lambda: "#\n" * (MIB // 2)),
    "as many steps as may be": ("", lambda: HEAD + "".join(f"- {{type: pass, name: a{n}}}\n" for n in range(10_000))),
    "more steps than may be": ("too-large", lambda: HEAD + "- {type: pass, name: a}\n" * 40_000),
}
EXPRESSIONS: dict[str, Callable[[], str]] = {
    "a MiB of comparisons": lambda: "$.a == 1 && " * (MIB // 12),
    "a million signs": lambda: "!" * MILLION,
    "a million parentheses": lambda: "(" * MILLION,
    "a number of a million digits": lambda: "9" * MILLION,
    "a text without an end": lambda: '"' + "x" * MILLION,
    "half a million keys": lambda: "$input" + ".a" * (MIB // 2),
    "every of every": lambda: "$input" + "[*]" * (MIB // 3),
    "as many parentheses as an expression is long": lambda: "(" * 4096,
    "as many signs as an expression is long": lambda: "!" * 4095 + "1",
    "more choices in one another than may be": lambda: "true ? 1 : " * 300 + "1",
}
# The error of each as an input, and as the result of a function.
VALUES: dict[str, tuple[str, str, Callable[[], Any]]] = {
    "a million lists deep": ("InvalidArgument", "FnF.InvalidLocal", lambda: nested(MILLION)),
    "itself": ("InvalidArgument", "FnF.InvalidLocal", endless),
    "a million digits": ("InvalidArgument", "FnF.InvalidLocal", lambda: 10**MILLION),
    "a number that is none": ("InvalidArgument", "FnF.InvalidLocal", lambda: float("nan")),
    "a million keys": ("EntityTooLarge", "FnF.DataLimitExceeded", lambda: {str(n): n for n in range(MILLION)}),
    "a million items": ("EntityTooLarge", "FnF.DataLimitExceeded", lambda: [1] * MILLION),
    "fifty million characters": ("EntityTooLarge", "FnF.DataLimitExceeded", lambda: "x" * (50 * MILLION)),
    "a million halves of characters": ("EntityTooLarge", "FnF.DataLimitExceeded", lambda: "\ud800" * MILLION),
}


def code_of(text: str) -> str:
    """The code of the first problem of the definition; it is linted if there is none."""
    try:
        read_yaml(text)
        flow = read_flow(text)
    except DefinitionError as error:
        return error.problems[0].code
    lint(flow, event_limit=100)
    return ""


def came_of(what: str) -> Any:
    """What `main` prints, by a process of its own."""
    command = [sys.executable, "-m", "tests.hostile", what]
    run = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"ended with {run.returncode}:\n{run.stderr}"
    return json.loads(run.stdout)


def is_refused(compile_expression: Callable[[str], Any], text: str) -> bool:
    try:
        compile_expression(text)
    except ExpressionSyntaxError:
        return True
    return False


def error_of_input(value: Any) -> str:
    try:
        checked_object("input", {"a": value}, 32 * 1024)
    except (InvalidArgument, EntityTooLarge) as error:
        return type(error).__name__
    return ""


def main(what: str) -> None:
    """Print the result of each document (a code), expression (whether it is refused) or value (its two errors)."""
    limit_this_process(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS)
    came: dict[str, Any] = {}
    if what == "documents":
        came = {name: code_of(make()) for name, (_, make) in DOCUMENTS.items()}
    elif what == "expressions":
        for name, make in EXPRESSIONS.items():
            came[name] = is_refused(compile_condition, make()) and is_refused(compile_path, make())
    else:
        flow = read_flow(CALL)
        for name, (_, _, make) in VALUES.items():
            result = {"a": make()}
            run = VirtualRun(flow, functions={"f": lambda input, context, result=result: result}).run()
            came[name] = [error_of_input(result["a"]), run.error]
    sys.stdout.write(json.dumps(came))


if __name__ == "__main__":
    main(sys.argv[1])
