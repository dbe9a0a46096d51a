"""The work that lint may do for one flow. A hostile flow can have a million paths through its steps.

An analysis that has used up its budget stops and reports nothing more: it never reports what it has not proved.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum

LIMIT = 3_000_000
"""The most units of work of one analysis: edges that it follows, or keys that it collects. A few seconds."""


class Analysis(Enum):
    """The analyses whose work may grow faster than the flow, and what is not reported when they stop."""

    KEYS = "the keys that steps can read: some unset-input and unset-local may be missing"
    ROUNDS = "the rounds of loops: some event-limit may be missing"


class Budget:
    """Counts the work of each analysis of one flow."""

    def __init__(self) -> None:
        self._used: Counter[Analysis] = Counter()

    def spend(self, analysis: Analysis, units: int) -> bool:
        """Count units of work. Return whether the analysis is still within its budget."""
        self._used[analysis] += units
        return not self.is_exceeded(analysis)

    def is_exceeded(self, analysis: Analysis) -> bool:
        """Return whether the analysis has stopped."""
        return self._used[analysis] > LIMIT

    def exceeded(self) -> list[Analysis]:
        """Return the analyses that have stopped."""
        return [analysis for analysis in Analysis if self.is_exceeded(analysis)]
