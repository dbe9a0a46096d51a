"""Expressions and values that are made to exhaust memory or CPU time.

`python -m tests.hostile.payloads GROUP` reads them under hard limits, and prints the result of each as JSON. It catches
documented errors only; any other error ends the process.
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
from pollflow.fdl import read_flow
from pollflow.fdl.expr import ExpressionSyntaxError, compile_condition, compile_path
from pollflow.runtime.objects import checked_object
from pollflow.testing import VirtualRun
from tests.bounds import limit_this_process

MEMORY_BYTES = 1 << 30
CPU_SECONDS = 90  # for a whole group
MILLION = 1_000_000
MIB = 1 << 20
CALL = "version: v1\ntype: flow\nsteps:\n- {type: task, name: Call, resourceArn: 'acs:fc:::services/s/functions/f'}\n"

requires_memory_limit = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS has no effect on this system")


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def self_containing_list() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


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


def results_of(group: str) -> Any:
    """Run `main` in a process of its own and return the results that it prints."""
    command = [sys.executable, "-m", "tests.hostile.payloads", group]
    run = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
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

    The result of an expression is whether it is refused, of a value its two errors.
    """
    limit_this_process(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS)
    results: dict[str, Any] = {}
    if group == "expressions":
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
