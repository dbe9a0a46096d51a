"""Comparison of expected and actual results. Differences are lines of text; an empty list means none."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from pollflow.errors import error_text
from pollflow.fdl.model import Json
from pollflow.fdl.problems import Problem
from pollflow.printable import MASK, json_text
from pollflow.runtime.masking import DEFAULT_MASK, Hider, Mask
from pollflow.testing.cases import ErrorExpected, Expected, Refusal
from pollflow.testing.result import RunResult

_MAX_SHOWN = 300
_CONTEXT_LINES = 3
_MAX_PAIRS = 1_000_000
"""The most pairs of lines among which moved lines are searched."""
_MASK = Mask.of(DEFAULT_MASK)


def differences(expected: Expected, result: RunResult) -> list[str]:
    """Return how the result differs from what is expected. The values of masked keys are not shown."""
    found = [*_status_and_time(expected, result), *_outputs(expected, result), *_steps_and_calls(expected, result)]
    if expected.refused is not None and expected.refused != len(result.refused):
        found.append(f"refused: expected {expected.refused}, actual {len(result.refused)}")
    hider = Hider(_MASK)
    hider.learn(expected.output, result.output, *(event.detail for event in result.history))
    return [hider.text(text) for text in found]


def refusals(expected: Sequence[Refusal], problems: Sequence[Problem]) -> list[str]:
    """Return how the errors of a definition differ from the expected ones. Each error counts once."""
    left = list(problems)
    found = []
    for refusal in expected:
        match = next((problem for problem in left if _matches(refusal, problem)), None)
        if match is None:
            code = f" [{refusal.code}]" if refusal.code else ""
            found.append(f"missing: line {refusal.line}: … {refusal.message_contains} …{code}")
        else:
            left.remove(match)
    return found + [f"unexpected: line {problem.line}: {problem.field}: {problem.message}" for problem in left]


def warnings(expected: Sequence[str], problems: Sequence[Problem]) -> list[str]:
    """Return how the codes of the warnings of lint differ from the expected ones. Each code counts once."""
    found = [f"lint: missing: {code}" for code in sorted(set(expected) - {problem.code for problem in problems})]
    unexpected = [problem for problem in problems if problem.code not in expected]
    return found + [f"lint: unexpected: line {p.line}: {p.field}: {p.message} [{p.code}]" for p in unexpected]


def side_by_side(name: str, expected: Sequence[str], actual: Sequence[str]) -> str:
    """Return two lists in two columns. `!` marks the lines that differ; long equal parts are left out."""
    rows = list(_rows(expected, actual))
    width = max([8, *(len(left) for left, _, _ in rows)])
    shown = {
        shown_at
        for at, (_, _, differs) in enumerate(rows)
        if differs
        for shown_at in range(at - _CONTEXT_LINES, at + _CONTEXT_LINES + 1)
        if 0 <= shown_at < len(rows)
    }
    lines = [f"{name}:", f"      {'expected':<{width}}  actual"]
    before = -1
    for at in sorted(shown):
        if at != before + 1:
            lines.append("      …")
        left, right, differs = rows[at]
        lines.append(f"{'!' if differs else ' '} {at + 1:>3} {left:<{width}}  {right}".rstrip())
        before = at
    if before != len(rows) - 1:
        lines.append("      …")
    return "\n".join(lines)


def _status_and_time(expected: Expected, result: RunResult) -> list[str]:
    found = []
    if expected.status is not None and expected.status is not result.status:
        why = f" ({error_text(result.error, result.cause or '')})" if result.error is not None else ""
        found.append(f"status: expected {expected.status.value}, actual {result.status.value}{why}")
    if expected.error is not None:
        found += _errors(expected.error, result)
    if expected.seconds is not None and round(expected.seconds - result.seconds, 6) != 0:
        found.append(f"seconds: expected {_number(expected.seconds)}, actual {_number(result.seconds)}")
    return found


def _outputs(expected: Expected, result: RunResult) -> list[str]:
    found = []
    if expected.output_given:
        found += _unequal("output", expected.output, result.output)
    if expected.output_contains is not None:
        found += _unequal("output", expected.output_contains, result.output, partly=True)
    return found


def _steps_and_calls(expected: Expected, result: RunResult) -> list[str]:
    found = []
    if expected.steps is not None and list(expected.steps) != result.steps:
        found.append(side_by_side("steps", expected.steps, result.steps))
    for step, times in (expected.visits or {}).items():
        if result.visits[step] != times:
            found.append(f"visits of {step}: expected {times}, actual {result.visits[step]}")
    for name, calls in (expected.calls or {}).items():
        found += _unequal(f"calls of {name}", calls, result.calls_of(name))
    return found


def _rows(expected: Sequence[str], actual: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    if len(expected) * len(actual) > _MAX_PAIRS:  # a matcher would take minutes
        yield from ((one, other, one != other) for one, other in zip_longest(expected, actual, fillvalue=""))
        return
    matcher = difflib.SequenceMatcher(None, expected, actual, autojunk=False)
    for kind, left, left_end, right, right_end in matcher.get_opcodes():
        for at in range(max(left_end - left, right_end - right)):
            one = expected[left + at] if left + at < left_end else ""
            other = actual[right + at] if right + at < right_end else ""
            yield one, other, kind != "equal"


def _errors(expected: ErrorExpected, result: RunResult) -> list[str]:
    found = []
    for name, value, actual in (("error", expected.error, result.error), ("cause", expected.cause, result.cause)):
        if value is not None and value != actual:
            found.append(f"{name}: expected {_shown(value)}, actual {_shown(actual)}")
    part = expected.cause_contains
    if part is not None and part not in (result.cause or ""):
        found.append(f"cause: expected to contain {_shown(part)}, actual {_shown(result.cause)}")
    return found


def _unequal(path: str, expected: Json, actual: Json, *, partly: bool = False) -> list[str]:
    """Return where two values differ. With `partly` objects may have more keys than expected."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        found = []
        for key, value in expected.items():
            inner = f"{path}.{key}"
            if key not in actual:
                found.append(f"{inner}: expected {_shown_below(key, value)}, actual: missing")
            elif _MASK.hides((key,)):
                if _unequal(inner, value, actual[key], partly=partly):
                    found.append(f"{inner}: expected {MASK}, actual another value")
            else:
                found += _unequal(inner, value, actual[key], partly=partly)
        if not partly:
            found += [
                f"{path}.{key}: unexpected: {_shown_below(key, actual[key])}" for key in actual if key not in expected
            ]
        return found
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return [line for at, (one, other) in pairs for line in _unequal(f"{path}[{at}]", one, other, partly=partly)]
    if _is_same(expected, actual):
        return []
    return [f"{path}: expected {_shown(expected)}, actual {_shown(actual)}"]


def _is_same(one: Json, other: Json) -> bool:
    """Return whether two JSON values are equal: 1 equals 1.0, and true does not equal 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _matches(refusal: Refusal, problem: Problem) -> bool:
    text = f"{problem.field}: {problem.message}"
    is_code = refusal.code is None or refusal.code == problem.code
    return refusal.line == problem.line and refusal.message_contains in text and is_code


def _shown(value: Json) -> str:
    if value is None:
        return "nothing"
    text = json_text(Hider(_MASK).value(value))
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _shown_below(key: str, value: Json) -> str:
    return MASK if _MASK.hides((key,)) else _shown(value)


def _number(seconds: float) -> str:
    return f"{round(seconds, 6):.6f}".rstrip("0").rstrip(".")
