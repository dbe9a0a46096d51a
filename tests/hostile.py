"""Input that is made to exhaust memory or CPU time. `python -m tests.hostile GROUP` reads it under hard limits.

The process prints the result of each input as JSON. It catches documented errors only; any other error ends it.
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
CPU_SECONDS = 90  # for a whole group of inputs, which takes about 15 s
MILLION = 1_000_000
MIB = 1 << 20

HEAD = "version: v1\ntype: flow\nsteps:\n"
CALL = HEAD + "- {type: task, name: Call, resourceArn: 'acs:fc:::services/s/functions/f'}\n"

requires_memory_limit = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS has no effect on this system")


def pass_step(text: str) -> str:
    return HEAD + "- type: pass\n  name: P\n  outputMappings:\n  - {target: t, source: " + text + "}\n"


def choice(*conditions: str) -> str:
    choices = ", ".join(f"{{condition: '{condition}'}}" for condition in conditions)
    return HEAD + f"- {{type: choice, name: C, choices: [{choices}]}}\n"


def list_of(item: str, count: int) -> str:
    return "[" + ", ".join([item] * count) + "]"


def object_of(count: int) -> str:
    return "{" + ", ".join(f'"k{number}": 1' for number in range(count)) + "}"


def nested_aliases(first: str, each: Callable[[int], str], count: int) -> str:
    return f"l0: &a0 {first}\n" + "".join(f"l{n}: &a{n} {each(n)}\n" for n in range(1, count))


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def self_containing_list() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


# The expected result of each: the code of the first problem, or an empty text for a valid definition.
DOCUMENTS: dict[str, tuple[str, Callable[[], str]]] = {
    "a billion laughs": ("too-large", lambda: nested_aliases("[x]", lambda n: list_of(f"*a{n - 1}", 9), 30)),
    "merged a billion times": (
        "too-large",
        lambda: nested_aliases(object_of(1000), lambda n: f"{{<<: *a{n - 1}, x{n}: 1}}", 500),
    ),
    "an alias to itself": ("syntax", lambda: "a: &a [*a]"),
    "a million lists deep": ("too-large", lambda: "[" * MILLION),
    "a million lists deep, for the slow parser": ("too-large", lambda: '["\\ud800",' + "[" * MILLION),
    "as many nested objects as fit in a MiB": ("too-large", lambda: '{"a":' * (MIB // 5)),
    "as many nested dashes as fit in a MiB": ("too-large", lambda: "- " * (MIB // 2)),
    "as many nested complex keys as fit in a MiB": ("too-large", lambda: "? " * (MIB // 2)),
    "a scalar of a MiB": ("invalid-value", lambda: "x" * MIB),
    "a scalar of many lines": ("invalid-value", lambda: "x\n" * (MIB // 2)),
    "a scalar of escapes": ("not-json", lambda: '"' + "\\ud800" * (MIB // 6 - 1) + '"'),
    "an unterminated scalar": ("syntax", lambda: '"' + "x" * (MIB - 1)),
    "a constant of a MiB": ("", lambda: pass_step("x" * MILLION)),
    "one byte more than a MiB": ("too-large", lambda: "x" * (MIB + 1)),
    "a condition of a MiB": ("expression-syntax", lambda: choice("$.a == 1 && " * 80_000 + "$.a")),
    "a million parentheses": ("expression-syntax", lambda: choice("(" * MILLION)),
    "many long conditions": ("", lambda: choice(*["1+" * 2000 + "1 > 2"] * 50)),
    "many deep conditions": ("expression-syntax", lambda: choice(*["(" * 4090] * 50)),
    "a million digits": ("not-json", lambda: pass_step("9" * MILLION)),
    "a million hexadecimal digits": ("not-json", lambda: pass_step("0x" + "f" * MILLION)),
    "a million decimals": ("", lambda: pass_step("1." + "9" * MILLION)),
    "an exponent of a million digits": ("not-json", lambda: pass_step("1e" + "9" * MILLION)),
    "a million keys": ("too-large", lambda: object_of(MILLION)),
    "as many keys as fit in a MiB": ("too-large", lambda: "".join(f"{n}:\n" for n in range(130_000))),
    "the maximum of keys": ("", lambda: pass_step(object_of(49_000))),
    "a repeated key": ("too-large", lambda: "a:\n" * (MIB // 3)),
    "an unterminated list": ("too-large", lambda: "[" + "1," * 500_000),
    "a quarter of a million documents": ("syntax", lambda: "---\n" * (MIB // 4)),
    "a tag of a MiB": ("syntax", lambda: "!" + "x" * MILLION + " a"),
    "many anchors": ("invalid-value", lambda: "[" + ",".join(f"&a{n} 1" for n in range(90_000)) + "]"),
    "tabs": ("missing-field", lambda: "{" + "\t" * MILLION + "}"),
    "blank lines": ("syntax", lambda: "\n" * MIB),
    "a million comments": ("syntax", lambda: "#\n" * (MIB // 2)),
    "the maximum of steps": ("", lambda: HEAD + "".join(f"- {{type: pass, name: a{n}}}\n" for n in range(10_000))),
    "more than the maximum of steps": ("too-large", lambda: HEAD + "- {type: pass, name: a}\n" * 40_000),
}
EXPRESSIONS: dict[str, Callable[[], str]] = {
    "a MiB of comparisons": lambda: "$.a == 1 && " * (MIB // 12),
    "a million operators": lambda: "!" * MILLION,
    "a million parentheses": lambda: "(" * MILLION,
    "a number of a million digits": lambda: "9" * MILLION,
    "an unterminated string": lambda: '"' + "x" * MILLION,
    "half a million keys": lambda: "$input" + ".a" * (MIB // 2),
    "nested wildcards": lambda: "$input" + "[*]" * (MIB // 3),
    "parentheses up to the maximum length": lambda: "(" * 4096,
    "operators up to the maximum length": lambda: "!" * 4095 + "1",
    "conditionals nested too deeply": lambda: "true ? 1 : " * 300 + "1",
}
# The expected error of each value as the input of an execution, and as the result of a function.
VALUES: dict[str, tuple[str, str, Callable[[], Any]]] = {
    "a million lists deep": ("EntityTooLarge", "FnF.InvalidLocal", lambda: nested(MILLION)),
    "a list that contains itself": ("InvalidArgument", "FnF.InvalidLocal", self_containing_list),
    "a million digits": ("InvalidArgument", "FnF.InvalidLocal", lambda: 10**MILLION),
    "NaN": ("InvalidArgument", "FnF.InvalidLocal", lambda: float("nan")),
    "a million keys": ("EntityTooLarge", "FnF.DataLimitExceeded", lambda: {str(n): n for n in range(MILLION)}),
    "a million items": ("EntityTooLarge", "FnF.DataLimitExceeded", lambda: [1] * MILLION),
    "fifty million characters": ("EntityTooLarge", "FnF.DataLimitExceeded", lambda: "x" * (50 * MILLION)),
    "a million lone surrogates": ("EntityTooLarge", "FnF.DataLimitExceeded", lambda: "\ud800" * MILLION),
}


def code_of(text: str) -> str:
    """Return the code of the first problem of a definition. Lint a valid definition and return an empty text."""
    try:
        read_yaml(text)
        flow = read_flow(text)
    except DefinitionError as error:
        return error.problems[0].code
    lint(flow, event_limit=100)
    return ""


def results_of(group: str) -> Any:
    """Run `main` in a process of its own and return the results that it prints."""
    command = [sys.executable, "-m", "tests.hostile", group]
    run = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{command} exited with {run.returncode}:\n{run.stderr}"
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


def main(group: str) -> None:
    """Print the result of each input of a group.

    The result of a document is a code, of an expression whether it is refused, of a value its two errors.
    """
    limit_this_process(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS)
    results: dict[str, Any] = {}
    if group == "documents":
        results = {name: code_of(make()) for name, (_, make) in DOCUMENTS.items()}
    elif group == "expressions":
        for name, make in EXPRESSIONS.items():
            results[name] = is_refused(compile_condition, make()) and is_refused(compile_path, make())
    else:
        flow = read_flow(CALL)
        for name, (_, _, make) in VALUES.items():
            result = {"a": make()}
            run = VirtualRun(flow, functions={"f": lambda input, context, result=result: result}).run()
            results[name] = [error_of_input(result["a"]), run.error]
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1])
