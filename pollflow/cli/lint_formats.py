"""Format problems as text, JSON, GitHub annotations or SARIF 2.1.0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from pollflow.cli.release import release
from pollflow.cli.texts import pretty
from pollflow.fdl import LINT_CODES, Problem
from pollflow.printable import clean

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def as_text(problems: Sequence[Problem]) -> str:
    """Return one line per problem: `file:line:column: field: message`."""
    return "\n".join(clean(str(problem)) for problem in problems)


def as_json(problems: Sequence[Problem]) -> str:
    """Return a JSON list of objects."""
    return pretty([asdict(problem) for problem in problems])


def as_github(problems: Sequence[Problem]) -> str:
    """Return GitHub workflow commands, which annotate the lines."""
    return "\n".join(
        f"::{problem.severity} file={_escaped(problem.path, ',:')},line={problem.line},col={problem.column},"
        f"title={_escaped(problem.code, ',:')}::{_escaped(_message(problem))}"
        for problem in problems
    )


def as_sarif(problems: Sequence[Problem]) -> str:
    """Return a SARIF log with one run."""
    codes = sorted({problem.code for problem in problems})
    rules = [{"id": code, "shortDescription": {"text": LINT_CODES.get(code, code)}} for code in codes]
    driver = {"name": "pollflow", "version": release(), "rules": rules}
    run = {"tool": {"driver": driver}, "results": [_sarif_result(problem) for problem in problems]}
    return pretty({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


def _sarif_result(problem: Problem) -> dict[str, Any]:
    location = {
        "artifactLocation": {"uri": PurePath(problem.path).as_posix()},
        "region": {"startLine": problem.line, "startColumn": problem.column},
    }
    return {
        "ruleId": problem.code,
        "level": problem.severity,
        "message": {"text": _message(problem)},
        "locations": [{"physicalLocation": location}],
    }


def _message(problem: Problem) -> str:
    return f"{problem.field}: {problem.message}" if problem.field else problem.message


def _escaped(text: str, separators: str = "") -> str:
    return "".join(f"%{ord(char):02X}" if char in "%\r\n" + separators else char for char in text)
