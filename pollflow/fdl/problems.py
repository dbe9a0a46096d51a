"""Problems of a definition: location, mistake and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

MAX_PROBLEMS = 200
"""The most problems reported for one definition; a hostile one could have a million."""

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
    """Return the problems by line and column, without duplicates, and at most MAX_PROBLEMS."""
    unique = dict.fromkeys(problems)
    ordered = sorted(unique, key=lambda problem: (problem.line, problem.column))
    return tuple(ordered[:MAX_PROBLEMS])


def near(word: str, known: Iterable[str]) -> str | None:
    """Return the most similar of the first thousand known words, ignoring case; None if none is similar."""
    spelled = {candidate.lower(): candidate for candidate in islice(known, 1000) if len(candidate) <= 200}
    found = difflib.get_close_matches(word[:100].lower(), list(spelled), n=1, cutoff=0.6)
    return spelled[found[0]] if found else None
