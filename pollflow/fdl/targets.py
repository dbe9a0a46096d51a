"""Names and gotos: which series has which steps, and whether each goto names one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pollflow.fdl.problems import near
from pollflow.fdl.reader import Node


@dataclass(frozen=True, slots=True)
class Goto:
    """A goto that was read: the name it says, its place, and the series whose steps it may name."""

    name: str
    node: Node
    place: str
    series: str


@dataclass(slots=True)
class Names:
    """What is known of names while a definition is read; gotos are judged at the end, when all are known."""

    series: dict[str, dict[str, tuple[str, int]]] = field(default_factory=dict)
    """Series path -> step name -> path and line of the step."""
    owners: dict[str, str] = field(default_factory=dict)
    """Series path -> words for where it is, such as `inside a branch of "both"`."""
    gotos: list[Goto] = field(default_factory=list)

    def take(self, series: str, name: str, *, path: str, line: int) -> tuple[str, int] | None:
        """Gives the name to a step; returns the path and line of the step that has it already."""
        known = self.series.setdefault(series, {})
        if name in known:
            return known[name]
        known[name] = (path, line)
        return None

    def wrong_gotos(self) -> Iterator[tuple[Goto, str]]:
        """Each goto that names no step of its series, and why that is wrong."""
        homes: dict[str, str] = {}
        for series, names in self.series.items():
            for name in names:
                homes.setdefault(name, series)
        for goto in self.gotos:
            if goto.name not in self.series.get(goto.series, {}):
                yield goto, self._reason(goto, homes.get(goto.name))

    def _reason(self, goto: Goto, home: str | None) -> str:
        name = goto.name if len(goto.name) <= 100 else f"{goto.name[:100]}…"
        if home is not None:
            path, line = self.series[home][goto.name]
            where = self.owners.get(home, "elsewhere")
            return f'"{name}" ({path}, line {line}) is {where}; goto can only name a step of its own series'
        guess = near(goto.name, self.series.get(goto.series, {}))
        message = f'no step of this series is named "{name}"'
        return f'{message}; did you mean "{guess}"?' if guess else message
