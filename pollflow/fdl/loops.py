"""The steps that a goto can lead back to: only these can be visited more than once within a frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pollflow.fdl.model import ChoiceStep, Series, Step, StepPosition, TaskStep


def looping_steps(series: Mapping[str, Series]) -> frozenset[StepPosition]:
    """Return the steps, of all series of a flow, that stand in a loop, or in an option of a choice that does."""
    found: set[StepPosition] = set()
    # `series` has the series of a step before the series inside that step.
    for path, inner in series.items():
        owner = inner.owner
        is_option = owner in found and isinstance(series[owner.series].steps[owner.position], ChoiceStep)
        positions = range(len(inner.steps)) if is_option else _in_loops(inner)
        found.update(StepPosition(path, position) for position in positions)
    return frozenset(found)


def _in_loops(series: Series) -> Iterator[int]:
    """Yield the positions between the target and the source of each goto that leads back."""
    positions = {step.name: position for position, step in enumerate(series.steps)}
    back_to = len(series.steps)
    for position in reversed(range(len(series.steps))):
        back_to = min([back_to, *(positions[goto] for goto in _gotos(series.steps[position]))])
        if back_to <= position:
            yield position


def _gotos(step: Step) -> Iterator[str]:
    if isinstance(step, ChoiceStep):
        options = (*step.choices, step.default)
        yield from (option.goto for option in options if option is not None and option.goto is not None)
    elif isinstance(step, TaskStep):
        yield from (catch.goto for catch in step.catch)
