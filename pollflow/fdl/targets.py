"""Names and gotos: the step names of each series, and the gotos that name no step of their own series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pollflow.fdl.lookalikes import hint, plain
from pollflow.fdl.problems import MAX_PROBLEMS
from pollflow.fdl.reader import Node
from pollflow.suggestions import near


@dataclass(frozen=True, slots=True)
class Goto:
    """A goto: the name of its target, its field in the document, and the series whose steps it may name."""

    name: str
    node: Node
    field: str
    series: str


@dataclass(slots=True)
class Names:
    """The names of a definition. Gotos are checked at the end, when all names are known."""

    series: dict[str, dict[str, tuple[str, int]]] = field(default_factory=dict)
    """Series path -> step name -> path and line of the step."""
    owners: dict[str, str] = field(default_factory=dict)
    """Series path -> its location in words, such as `inside a branch of "both"`."""
    gotos: list[Goto] = field(default_factory=list)
    _plain: dict[str, dict[str, str]] = field(default_factory=dict)
    """Series path -> step name without look-alikes -> step name."""

    def add(self, series: str, name: str, *, path: str, line: int) -> tuple[str, int] | None:
        """Give the name to a step; return the path and line of an earlier step of that name."""
        known = self.series.setdefault(series, {})
        if name in known:
            return known[name]
        known[name] = (path, line)
        return None

    def invalid_gotos(self) -> Iterator[tuple[Goto, str]]:
        """Yield each goto that names no step of its series, with the reason."""
        series_of: dict[str, str] = {}
        for series, names in self.series.items():
            for name in names:
                series_of.setdefault(name, series)
        invalid = (goto for goto in self.gotos if goto.name not in self.series.get(goto.series, {}))
        for count, goto in enumerate(invalid):
            yield goto, self._reason(goto, series_of.get(goto.name), is_explained=count < MAX_PROBLEMS)

    def _reason(self, goto: Goto, other: str | None, *, is_explained: bool) -> str:
        name = goto.name if len(goto.name) <= 100 else f"{goto.name[:100]}…"
        if other is not None:
            path, line = self.series[other][goto.name]
            where = self.owners.get(other, "elsewhere")
            return f'"{name}" ({path}, line {line}) is {where}; goto can only name a step of its own series'
        names = self.series.get(goto.series, {})
        message = f'no step of this series is named "{name}"'
        if not is_explained:
            return message
        equal = self._plain_names(goto.series).get(plain(goto.name))
        if equal is not None:
            what = f"this name{hint(goto.name)}" if hint(goto.name) else f"the name of the step{hint(equal)}"
            return f"{message}, but one looks equal (line {names[equal][1]}): {what.replace('; it', '')}"
        guess = near(goto.name, names)
        return f'{message}; did you mean "{guess}"?' if guess else message

    def _plain_names(self, series: str) -> dict[str, str]:
        if series not in self._plain:
            names = self.series.get(series, {})
            self._plain[series] = {plain(name): name for name in reversed(names)}
        return self._plain[series]
