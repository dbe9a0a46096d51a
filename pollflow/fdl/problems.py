"""Problems of a definition: location, mistake and remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

MAX_PROBLEMS = 200
"""The most problems reported for one definition; a hostile one could have a million."""
MORE_PROBLEMS = "more-problems"
"""The code of the last problem if there are more: its message has their number."""

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem; `field` is its path in the document, such as `steps[2].duration`.

    Lines and columns count from 1. A definition with an `error` is refused, one with a `warning` is not. `code` names
    the kind of problem and does not change between releases.
    """

    path: str
    line: int
    column: int
    field: str
    message: str
    code: str
    severity: Severity = "error"

    def __str__(self) -> str:
        location = f"{self.path}:{self.line}:{self.column}: "
        message = f"{self.message} [{self.code}]" if self.severity == "warning" else self.message
        return f"{location}{self.field}: {message}" if self.field else f"{location}{message}"


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems by line and column, without duplicates: MAX_PROBLEMS, and one with the number of others."""
    unique = dict.fromkeys(problems)
    ordered = sorted(unique, key=lambda problem: (problem.line, problem.column))
    left = ordered[MAX_PROBLEMS:]
    if not left:
        return tuple(ordered)
    first = left[0]
    more = replace(first, field="", message=f"and {len(left):,} more, the first of them here", code=MORE_PROBLEMS)
    return (*ordered[:MAX_PROBLEMS], more)
