"""Suggestions of similar names ("did you mean"): the one place that compares words.

Words come from strangers, and a definition may have thousands of them. So a search compares a bounded number of words
of bounded length, each in a time that grows with its length only.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

MAX_CANDIDATES = 1000
"""The most known words that a search compares, in their order."""
_MAX_CHARACTERS = 20_000
"""The most characters of known words that a search compares, which takes some milliseconds."""
MAX_LENGTH = 128
"""The longest word that is compared, in characters."""
CUTOFF = 0.65
"""The least similarity of a suggestion, from 0 to 1."""


def near(word: str, known: Iterable[str], *, cutoff: float = CUTOFF) -> str | None:
    """Return the known word that is most similar, ignoring case; None if none is similar."""
    return next(iter(nearest(word, known, count=1, cutoff=cutoff)), None)


def nearest(word: str, known: Iterable[str], *, count: int, cutoff: float = CUTOFF) -> list[str]:
    """Return the known words that are similar, ignoring case, the most similar first and at most `count`.

    Of equally similar words, the one with the longer common beginning comes first.
    """
    if len(word) > MAX_LENGTH:
        return []
    pattern = _Pattern(word.lower())
    found: list[tuple[float, int, int, str]] = []
    left = _MAX_CHARACTERS
    for position, candidate in enumerate(islice(known, MAX_CANDIDATES)):
        left -= len(candidate)
        if left < 0:
            break
        least = cutoff if len(found) < count else max(cutoff, -found[-1][0])
        similarity = pattern.similarity(candidate.lower(), least) if len(candidate) <= MAX_LENGTH else 0
        if similarity >= cutoff:
            beginning = _shared_beginning(word.lower(), candidate.lower())
            found = sorted([*found, (-similarity, -beginning, position, candidate)])[:count]
    return [candidate for *_, candidate in found]


def _shared_beginning(one: str, other: str) -> int:
    differences = (position for position, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1])
    return next(differences, min(len(one), len(other)))


class _Pattern:
    """A word to compare with others: the positions of each of its characters, as the bits of a number."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._positions: dict[str, int] = {}
        for position, char in enumerate(word):
            self._positions[char] = self._positions.get(char, 0) | 1 << position

    def similarity(self, other: str, least: float) -> float:
        """Return the share of characters that both words have in the same order; 0 if it must be below `least`."""
        total = len(self._word) + len(other)
        if not total or 2 * min(len(self._word), len(other)) < least * total:
            return 0
        return 2 * self._common(other) / total

    def _common(self, other: str) -> int:
        """Return the length of the longest common subsequence, by the bit-parallel algorithm of Hyyrö."""
        everywhere = (1 << len(self._word)) - 1
        rest = everywhere
        for char in other:
            matches = rest & self._positions.get(char, 0)
            rest = (rest + matches | rest - matches) & everywhere
        return len(self._word) - rest.bit_count()
