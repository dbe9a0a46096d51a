"""The drawing of a run for a terminal: one line for each visit, in the order of entry, children indented."""

from __future__ import annotations

from dataclasses import dataclass, field

from pollflow.errors import error_text
from pollflow.fdl.model import Json
from pollflow.printable import clean, json_text
from pollflow.runtime import arguments
from pollflow.store import StoredEvent
from pollflow.testing.result import RunResult

_MAX_SHOWN = 80
_ENDS = {"StepExited", "StepFailed"}


@dataclass(slots=True)
class _Visit:
    """One visit of a step. `depth` counts the branches, iterations and options around it."""

    began: float
    step: str
    depth: int
    ended: float | None = None
    result: str = ""
    notes: list[str] = field(default_factory=list)


def draw(result: RunResult) -> str:
    """Return the run as text, with its end on the last line."""
    start = arguments.instance("result", result, RunResult, "the RunResult of a run").history[0].at
    visits = _visits(result.history, start)
    width = max([4, *(2 * visit.depth + len(visit.step) for visit in visits)])
    lines = []
    for visit in visits:
        name = f"{'  ' * visit.depth}{visit.step}"
        ended = "" if visit.ended is None or visit.ended <= visit.began else f"{visit.ended - visit.began:g} s"
        lines.append(f"{visit.began:>9g} s  {name:<{width}}  {ended:>9}  {visit.result}".rstrip())
        lines += [f"{'':>11}  {'':<{width}}  {'':>9}  · {note}" for note in visit.notes]
    for refused in result.refused:
        lines.append(clean(f"refused: {refused}"))
    lines.append(_end(result))
    return "\n".join(lines)


def _visits(history: tuple[StoredEvent, ...], start: float) -> list[_Visit]:
    """Return the visits. The cause of an event leads to the visits that are open in its frame."""
    visits: list[_Visit] = []
    open_after: dict[int, tuple[_Visit, ...]] = {0: ()}
    for event in history:
        stack = open_after.get(event.cause, ())
        moment = round(event.at - start, 6)
        if event.type == "StepEntered":
            visit = _Visit(moment, clean(event.step), len(stack))
            visits.append(visit)
            stack = (*stack, visit)
        elif stack and stack[-1].step == clean(event.step):
            _add_event(stack[-1], event, moment)
            if event.type in _ENDS and "goto" not in event.detail:
                stack = stack[:-1]
        open_after[event.id] = stack
    return visits


def _add_event(visit: _Visit, event: StoredEvent, moment: float) -> None:
    detail = event.detail
    if event.type in _ENDS:
        visit.ended = moment
    if event.type == "StepSucceeded":
        visit.result = f"→ {_short(detail['output'])}"
    elif event.type == "StepFailed":
        caught = f", caught: goto {detail['goto']}" if "goto" in detail else ""
        visit.result = clean(f"✗ {_error(detail)}{caught}")
    elif event.type in ("TaskFailed", "TaskTimedOut"):
        visit.notes.append(clean(f"attempt {detail['attempt']}: {_error(detail)}"))
    elif event.type == "TaskStarted" and detail["start"] > 1:
        visit.notes.append(f"attempt {detail['attempt']}: called again after its worker died")


def _end(result: RunResult) -> str:
    text = f"{result.status.value} after {result.seconds:g} s"
    if result.error is not None:
        return clean(f"{text}: {error_text(result.error, result.cause or '')}".removesuffix(": "))
    return text if result.output is None else f"{text}: {json_text(result.output)}"


def _error(detail: dict[str, Json]) -> str:
    return error_text(str(detail["error"] or ""), str(detail["cause"] or ""))


def _short(value: Json) -> str:
    text = json_text(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"
